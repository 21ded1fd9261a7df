using Aperture.Board;
using Aperture.Configuration;
using Aperture.Firmware.Acpi;
using Aperture.Firmware.Boot;
using Aperture.Firmware.Boot.X86;
using Aperture.Firmware.Memory;
using Aperture.Firmware.Platform;
using Aperture.Firmware.Smbios;
using Aperture.Hypervisor.X86;
using Aperture.Memory;
using Aperture.Placement.Map;
using ReservedRange = Aperture.Placement.Platforms.ReservedRange;

namespace Aperture.Machine.Boot;

/// <summary>
/// Starts a kernel on a PC without firmware: programs the chipset and the PCI tree, puts the tables, the kernel and its initramfs into RAM.
/// </summary>
internal sealed class DirectBoot : KernelStart
{
    // Where firmware keeps its tables on a PC, and where a guest finds the RSDP by scanning (ACPI 6.5, 5.2.5.1).
    private static readonly GuestAddress TablesAddress = new(0xE_0000);

    private readonly PlacementMap _map;
    private readonly BootPlan _plan;
    private readonly BootSegment _smbios;

    /// <summary>
    /// Decides where <paramref name="files"/>, which must stay open, and all tables go; the guest is told to leave <paramref name="reserved"/> alone.
    /// </summary>
    /// <exception cref="ApertureException">Something does not fit.</exception>
    public DirectBoot(MachineConfig config, PlacementMap map, KernelFiles files, IReadOnlyList<ReservedRange> reserved)
    {
        _map = map;
        PlatformDescription platform = BoardDescription.Planned(config, [.. map.Ram.Pieces], map);
        Tables = AcpiTables.Build(platform, TablesAddress);
        GuestAddress smbios = SmbiosAddress(Tables.Area);
        _smbios = new BootSegment("SMBIOS tables", smbios, SmbiosTables.Build(new SmbiosDescription(), Guid.Empty, platform, isWhole: true).At(smbios));
        _plan = LinuxBoot.Plan(files.Kernel, new BootRequest
        {
            MemoryMap = MemoryMap.For(platform, Tables.Area, [.. reserved.Select(r => new MemoryMapEntry(r.Range, MemoryKind.Reserved))]),
            RsdpAddress = Tables.RsdpAddress,
            CommandLine = config.CommandLine,
            Initramfs = files.Initramfs,
        });
    }

    /// <summary>What the guest is told by ACPI.</summary>
    public AcpiTableSet Tables { get; }

    /// <inheritdoc/>
    public override BootState Prepare(PciBoard board, GuestRam ram)
    {
        PciProgrammer.Program(board, _map);
        foreach (AcpiTable table in Tables.Tables)
        {
            ram.Block.Write(table.Address.Value, table.Bytes.Span);
        }

        // The kernel last: where it asks to be at one of their places, it is there.
        foreach (BootSegment segment in (IEnumerable<BootSegment>)[.. BiosData.Segments, _smbios, .. _plan.Segments])
        {
            Load(segment, ram);
        }

        return State(_plan.Entry);
    }

    // Behind the ACPI tables where those reach into the area.
    private static GuestAddress SmbiosAddress(AddressRange acpi)
    {
        const ulong Paragraph = 16;
        GuestAddress first = SmbiosTables.SearchArea.Start;
        return acpi.Last < first ? first : new GuestAddress((acpi.Last.Value + Paragraph) & ~(Paragraph - 1));
    }

    private static BootState State(BootEntry entry)
    {
        bool isLong = entry.Mode == BootMode.Long64;
        return new BootState(new FlatEntry(entry.InstructionPointer, isLong ? entry.PageTables : null, entry.Gdt)
        {
            Rax = entry.Mode == BootMode.Multiboot32 ? MultibootInformation.LoaderMagic : 0,
            Rsi = isLong ? entry.BootInformation.Value : 0,
            Rbx = isLong ? 0 : entry.BootInformation.Value,
            CodeSelector = entry.CodeSelector,
            DataSelector = entry.DataSelector,
            TaskSelector = entry.TaskSelector,
        });
    }
}
