using System.Buffers.Binary;
using System.Text;
using System.Text.RegularExpressions;
using Aperture.Firmware.Acpi;
using Aperture.Firmware.FwCfg;
using Aperture.Firmware.Platform;
using Aperture.Firmware.Tests.Acpi;

namespace Aperture.Firmware.Tests.FwCfg;

public partial class TableLoaderTests
{
    public static TheoryData<string, bool> Machines => new(
        from name in SamplePlatforms.Names
        from subtracts in new[] { false, true }
        select (name, subtracts));

    private static LittleFirmware Load(string platform, bool subtracts)
    {
        FirmwareItemSet items = FirmwareItems.Build(new FirmwareConfiguration { Platform = () => SamplePlatforms.Get(platform) });
        LittleFirmware firmware = new(items.Files, subtracts);
        firmware.Run();
        return firmware;
    }

    private static byte[] Table(LittleFirmware firmware, ulong address)
    {
        ReadOnlySpan<byte> memory = firmware.Memory(address);
        return memory[..(int)BinaryPrimitives.ReadUInt32LittleEndian(memory[4..])].ToArray();
    }

    /// <summary>Every table but the FACS, reached from the root pointer as an operating system does; checks every checksum on the way.</summary>
    private static Dictionary<string, (ulong Address, byte[] Bytes)> Walk(LittleFirmware firmware)
    {
        ulong rootAt = firmware.AddressOf("etc/acpi/rsdp");
        Assert.InRange(rootAt, 0xF_0000UL, 0xF_FFFFUL);
        Assert.Equal(0UL, rootAt % 16);
        byte[] root = firmware.Memory(rootAt)[..36].ToArray();
        Assert.Equal("RSD PTR "u8, root.AsSpan(0, 8));
        Assert.Equal(0, Sum(root.AsSpan(0, 20)));
        Assert.Equal(0, Sum(root));

        Dictionary<string, (ulong, byte[])> tables = [];
        void Add(ulong address)
        {
            byte[] bytes = Table(firmware, address);
            Assert.Equal(0, Sum(bytes));
            tables.Add(Encoding.ASCII.GetString(bytes, 0, 4), (address, bytes));
        }

        ulong xsdtAt = BinaryPrimitives.ReadUInt64LittleEndian(root.AsSpan(24));
        Add(xsdtAt);
        byte[] xsdt = Table(firmware, xsdtAt);
        for (int at = 36; at < xsdt.Length; at += 8)
        {
            Add(BinaryPrimitives.ReadUInt64LittleEndian(xsdt.AsSpan(at)));
        }

        byte[] fadt = tables["FACP"].Item2;
        Assert.Equal(BinaryPrimitives.ReadUInt32LittleEndian(fadt.AsSpan(40)), BinaryPrimitives.ReadUInt64LittleEndian(fadt.AsSpan(140)));
        Assert.Equal(BinaryPrimitives.ReadUInt32LittleEndian(fadt.AsSpan(36)), BinaryPrimitives.ReadUInt64LittleEndian(fadt.AsSpan(132)));
        Add(BinaryPrimitives.ReadUInt64LittleEndian(fadt.AsSpan(140)));
        return tables;
    }

    private static byte Sum(ReadOnlySpan<byte> bytes)
    {
        byte sum = 0;
        foreach (byte value in bytes)
        {
            sum += value;
        }

        return sum;
    }

    [Theory]
    [MemberData(nameof(Machines))]
    public void Tables_that_firmware_placed_are_those_of_direct_boot_at_the_same_addresses(string platform, bool subtracts)
    {
        LittleFirmware firmware = Load(platform, subtracts);
        Dictionary<string, (ulong Address, byte[] Bytes)> tables = Walk(firmware);
        ulong start = firmware.AddressOf("etc/acpi/tables");

        // Direct boot puts the root pointer in front: 36 bytes, then the next multiple of 64.
        AcpiTableSet direct = AcpiTables.Build(SamplePlatforms.Get(platform), new GuestAddress(start - 64));
        Assert.Equal(direct.Tables.Count, tables.Count + 2);
        foreach (AcpiTable table in direct.Tables)
        {
            if (table.Signature == "FACS")
            {
                Assert.Equal(table.Bytes.ToArray(), firmware.Memory(table.Address.Value)[..64]);
            }
            else if (table.Signature != "RSD PTR ")
            {
                Assert.Equal(table.Address.Value, tables[table.Signature].Address);
                Assert.Equal(table.Bytes.ToArray(), tables[table.Signature].Bytes);
            }
        }
    }

    [Theory]
    [InlineData("small")]
    [InlineData("i440fx")]
    public void ACPICA_takes_the_tables_from_where_firmware_put_them(string platform)
    {
        Assert.SkipUnless(AcpiTools.Have("iasl") && AcpiTools.Have("acpiexec"), "iasl and acpiexec are not installed (Debian package acpica-tools)");
        using AcpiTools tools = new();
        List<string> files = [];
        foreach ((string signature, (_, byte[] bytes)) in Walk(Load(platform, subtracts: true)))
        {
            string file = tools.Save(signature.ToLowerInvariant() + ".aml", bytes);
            (int code, string output) = tools.Run("iasl", "-d", file);
            Assert.True(code == 0, output);
            Assert.DoesNotMatch(Complaint(), output);
            if (signature is not "XSDT")
            {
                files.Add(file);
            }
        }

        (_, string run) = tools.Run("acpiexec", ["-b", "evaluate \\_SB.PCI0._HID", .. files]);
        Assert.DoesNotMatch("ACPI (BIOS )?(Error|Warning)|failed with status", run);
        Assert.Contains("[Integer] = ", run, StringComparison.Ordinal);
    }

    [Fact]
    public void Firmware_gets_the_map_that_it_programmed_itself_in_files_of_the_sizes_it_was_told()
    {
        string now = "no-ecam";
        FirmwareItemSet items = FirmwareItems.Build(new FirmwareConfiguration { Platform = () => SamplePlatforms.Get(now) });
        List<ulong> sizes = [.. items.Files.Values.Select(static item => item.Length)];
        now = "high-ecam";
        LittleFirmware firmware = new(items.Files, subtracts: false);
        firmware.Run();
        byte[] mcfg = Walk(firmware)["MCFG"].Bytes;
        Assert.Equal(0x40_1000_0000UL, BinaryPrimitives.ReadUInt64LittleEndian(mcfg.AsSpan(44)));
        Assert.Equal(sizes, items.Files.Values.Select(static item => item.Length));

        // Until the next reset the files agree with each other, whatever happens to the registers.
        now = "no-ecam";
        LittleFirmware second = new(items.Files, subtracts: false);
        second.Run();
        Assert.Contains("MCFG", Walk(second).Keys);
        items.Files["etc/table-loader"].Reset();
        LittleFirmware third = new(items.Files, subtracts: false);
        third.Run();
        Assert.DoesNotContain("MCFG", Walk(third).Keys);
        Assert.True(third.Commands < second.Commands);
    }

    [Fact]
    public void A_map_that_no_table_can_tell_is_reported_and_the_earlier_tables_stay()
    {
        List<string> reports = [];
        bool silly = false;
        PlatformDescription good = SamplePlatforms.Get("small");
        PlatformDescription bad = good with
        {
            HostBridge = good.HostBridge with { Memory32 = [good.Ecam!.Range] },
        };
        FirmwareItemSet items = FirmwareItems.Build(new FirmwareConfiguration { Platform = () => silly ? bad : good, Report = reports.Add });
        silly = true;
        LittleFirmware firmware = new(items.Files, subtracts: false);
        firmware.Run();
        Assert.Equal(["APIC", "DSDT", "FACP", "HPET", "MCFG", "XSDT"], Walk(firmware).Keys.Order(StringComparer.Ordinal));
        Assert.Contains("ECAM", Assert.Single(reports), StringComparison.Ordinal);
    }

    [GeneratedRegex(@"(?i)\b(error|warning|remark)\b(?!s)|invalid|incorrect|unknown|exceeds|too long|too short", RegexOptions.CultureInvariant)]
    private static partial Regex Complaint();
}
