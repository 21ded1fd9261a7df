using System.Globalization;
using System.Text;
using Aperture.Firmware.Boot;
using Aperture.Firmware.Platform;
using Aperture.Firmware.Smbios;

namespace Aperture.Firmware.FwCfg;

/// <summary>Builds what firmware reads.</summary>
public static class FirmwareItems
{
    private const string BootOrderFile = "bootorder";

    // One byte per sleep state from S0 on; bit 7: it exists. There is neither S3 nor S4.
    private static readonly byte[] SystemStates = [0x80, 0, 0, 0, 0, 0x80];

    /// <summary>Builds every item of <paramref name="configuration"/>.</summary>
    /// <exception cref="ApertureException">The machine cannot be described, or the kernel's initramfs does not fit.</exception>
    public static FirmwareItemSet Build(FirmwareConfiguration configuration)
    {
        ArgumentNullException.ThrowIfNull(configuration);
        PlatformDescription platform = configuration.Platform();
        return new FirmwareItemSet(Keys(configuration, platform), Files(configuration, platform));
    }

    private static Dictionary<ushort, IFirmwareItem> Keys(FirmwareConfiguration configuration, PlatformDescription platform)
    {
        int present = platform.ApicIds.Count;
        int most = Math.Max(configuration.MaxProcessors, present);

        // Firmware sizes its tables by APIC ids, not by processors.
        ushort apicIds = (ushort)Math.Max(most, platform.ApicIds.Max() + 1);
        ulong ram = platform.Ram.Aggregate(0UL, static (sum, range) => sum + range.Size);
        Dictionary<ushort, IFirmwareItem> keys = new()
        {
            // RFC 4122 order, as the command line spells it.
            [FirmwareKey.Uuid] = new BytesItem(configuration.Uuid.ToByteArray(bigEndian: true)),
            [FirmwareKey.RamSize] = BytesItem.U64(ram),
            [FirmwareKey.NoGraphic] = BytesItem.U16(configuration.NoGraphic ? (ushort)1 : (ushort)0),
            [FirmwareKey.ProcessorCount] = BytesItem.U16((ushort)present),
            [FirmwareKey.BootDevice] = BytesItem.U16(0),

            // No nodes: their number, then each processor's.
            [FirmwareKey.Numa] = new BytesItem(new byte[8 * (1 + apicIds)]),
            [FirmwareKey.BootMenu] = BytesItem.U16(configuration.BootMenu ? (ushort)1 : (ushort)0),
            [FirmwareKey.MaxProcessors] = BytesItem.U16(apicIds),
            [FirmwareKey.Irq0Override] = BytesItem.U32(platform.IsaOverrides.Any(static isa => isa is { IsaIrq: 0, Gsi: 2 }) ? 1u : 0u),
        };
        configuration.Kernel?.AddTo(keys, LowRamEnd(platform));
        return keys;
    }

    private static SortedDictionary<string, IFirmwareItem> Files(FirmwareConfiguration configuration, PlatformDescription platform)
    {
        var acpi = new FirmwareAcpiFiles(configuration.Platform, configuration.Report);
        SmbiosTables smbios = SmbiosTables.Build(configuration.Smbios, configuration.Uuid, platform);
        SortedDictionary<string, IFirmwareItem> files = new(StringComparer.Ordinal)
        {
            [RelocatableAcpi.TablesFile] = acpi.Tables,
            [RelocatableAcpi.RootPointerFile] = acpi.RootPointer,
            [RelocatableAcpi.ScriptFile] = acpi.Script,
            ["etc/e820"] = new FirmwareMemoryMap(platform, configuration),
            ["etc/smbios/smbios-anchor"] = new BytesItem(smbios.Anchor),
            ["etc/smbios/smbios-tables"] = new BytesItem(smbios.Structures),
            ["etc/system-states"] = new BytesItem(SystemStates),
        };
        AddBootFiles(files, configuration);
        AddPciFiles(files, configuration);
        foreach ((string name, IFirmwareItem item) in configuration.Smi?.Files ?? [])
        {
            files[name] = item;
        }

        foreach ((string name, BootFile rom) in configuration.OptionRoms)
        {
            files["genroms/" + name] = new FileItem(rom);
        }

        return files;
    }

    private static void AddBootFiles(SortedDictionary<string, IFirmwareItem> files, FirmwareConfiguration configuration)
    {
        // The kernel was asked for, so its ROM comes before every disk.
        IEnumerable<string> first = configuration.Kernel is not null && configuration.OptionRoms.ContainsKey(LinuxBootRom.Name)
            ? [OpenFirmwarePath.Rom("genroms/" + LinuxBootRom.Name)]
            : [];
        List<string> order = [.. first, .. configuration.BootOrder];
        if (order.Count != 0)
        {
            // OVMF wants the terminating zero.
            files[BootOrderFile] = new BytesItem(Encoding.ASCII.GetBytes(string.Join('\n', order) + '\0'));
        }

        if (configuration.BootMenuWait is { } menu)
        {
            files["etc/boot-menu-wait"] = BytesItem.U16((ushort)Math.Clamp(menu.TotalMilliseconds, 0, ushort.MaxValue));
        }

        if (configuration.BootFailWait is { } fail)
        {
            files["etc/boot-fail-wait"] = BytesItem.U32((uint)Math.Clamp(fail.TotalMilliseconds, 0, uint.MaxValue));
        }
    }

    private static void AddPciFiles(SortedDictionary<string, IFirmwareItem> files, FirmwareConfiguration configuration)
    {
        if (configuration.ReservedMemoryEnd is { } end)
        {
            files["etc/reserved-memory-end"] = BytesItem.U64(end.Value);
        }

        if (configuration.ExtraPciRoots != 0)
        {
            files["etc/extra-pci-roots"] = BytesItem.U64(configuration.ExtraPciRoots);
        }

        if (configuration.PciMmio64Megabytes is { } megabytes)
        {
            // OVMF parses decimal text.
            files["opt/ovmf/X-PciMmio64Mb"] = new BytesItem(Encoding.ASCII.GetBytes(megabytes.ToString(CultureInfo.InvariantCulture)));
        }
    }

    private static GuestAddress LowRamEnd(PlatformDescription platform) =>
        platform.Ram.Where(static range => range.Start == GuestAddress.Zero && !range.IsEmpty).Select(static range => range.Last + 1).FirstOrDefault();
}
