using System.Buffers.Binary;
using Aperture.Firmware.Acpi;
using Aperture.Firmware.Platform;

namespace Aperture.Firmware.Tests.Acpi;

public class TableStructureTests
{
    public static TheoryData<string> Platforms => [.. SamplePlatforms.Names];

    [Theory]
    [MemberData(nameof(Platforms))]
    public void Every_checksum_is_right_and_every_table_lies_aligned_and_alone_in_the_area(string name)
    {
        AcpiTableSet set = AcpiTables.Build(SamplePlatforms.Get(name), SamplePlatforms.TablesAt);
        GuestAddress end = set.Area.Start;
        foreach (AcpiTable table in set.Tables)
        {
            var range = new AddressRange(table.Address, (ulong)table.Bytes.Length);
            Assert.True(set.Area.Contains(range) && range.Start >= end && range.Start.IsAligned(64));
            end = range.Last + 1;
            if (table.Signature == "FACS")
            {
                continue;
            }

            Assert.Equal(0, Sum(table.Bytes.Span));
            int lengthAt = table.Signature == "RSD PTR " ? 20 : 4;
            Assert.Equal(table.Bytes.Length, BinaryPrimitives.ReadInt32LittleEndian(table.Bytes.Span[lengthAt..]));
        }

        Assert.Equal(set.Area.Last + 1, end);
        Assert.Equal(0, Sum(set.Tables[0].Bytes.Span[..20]));
    }

    [Theory]
    [MemberData(nameof(Platforms))]
    public void Following_the_pointers_from_the_root_reaches_every_table(string name)
    {
        AcpiTableSet set = AcpiTables.Build(SamplePlatforms.Get(name), SamplePlatforms.TablesAt);
        AcpiTable At(ulong address) => set.Tables.Single(table => table.Address.Value == address);
        AcpiTable root = At(set.RsdpAddress.Value);
        Assert.Equal("RSD PTR ", root.Signature);
        AcpiTable xsdt = At(U64(root, 24));
        List<string> reached = [root.Signature, xsdt.Signature];
        for (int at = 36; at < xsdt.Bytes.Length; at += 8)
        {
            reached.Add(At(U64(xsdt, at)).Signature);
        }

        AcpiTable fadt = set.Tables.Single(static table => table.Signature == "FACP");
        Assert.Equal("FACS", At(U32(fadt, 36)).Signature);
        Assert.Equal("DSDT", At(U32(fadt, 40)).Signature);
        Assert.Equal("FACS", At(U64(fadt, 132)).Signature);
        Assert.Equal("DSDT", At(U64(fadt, 140)).Signature);
        Assert.Equal(
            set.Tables.Select(static table => table.Signature).Order(),
            reached.Append("FACS").Append("DSDT").Order());
    }

    [Fact]
    public void MCFG_names_bus_0_even_when_the_window_starts_at_a_later_bus_and_is_absent_without_a_window()
    {
        PlatformDescription platform = SamplePlatforms.Get("no-ecam") with
        {
            Ecam = new EcamRegion(SamplePlatforms.Range(0xE200_0000, 0x200_0000), 3, 0x20, 0x3F),
        };
        AcpiTable mcfg = AcpiTables.Build(platform, SamplePlatforms.TablesAt).Tables.Single(static table => table.Signature == "MCFG");
        Assert.Equal(36 + 8 + 16, mcfg.Bytes.Length);
        Assert.Equal(0xE000_0000UL, U64(mcfg, 44));
        Assert.Equal([3, 0, 0x20, 0x3F, 0, 0, 0, 0], mcfg.Bytes[52..].ToArray());
        Assert.DoesNotContain(
            AcpiTables.Build(SamplePlatforms.Get("no-ecam"), SamplePlatforms.TablesAt).Tables,
            static table => table.Signature == "MCFG");
    }

    [Fact]
    public void HPET_names_the_timers_registers_and_is_absent_without_them()
    {
        AcpiTable hpet = AcpiTables.Build(SamplePlatforms.Get("small"), SamplePlatforms.TablesAt).Tables.Single(static table => table.Signature == "HPET");
        Assert.Equal("01228680" + "00400000" + "0000D0FE00000000" + "00" + "3412" + "00", Convert.ToHexString(hpet.Bytes.Span[36..]));
        Assert.DoesNotContain(
            AcpiTables.Build(SamplePlatforms.Get("bare"), SamplePlatforms.TablesAt).Tables,
            static table => table.Signature == "HPET");
    }

    [Fact]
    public void MADT_lists_processors_the_IO_APIC_overrides_and_the_NMI()
    {
        PlatformDescription platform = SamplePlatforms.Get("no-ecam") with { ApicIds = [0, 254] };
        AcpiTable madt = AcpiTables.Build(platform, SamplePlatforms.TablesAt).Tables.Single(static table => table.Signature == "APIC");
        Assert.Equal(
            "0000E0FE" + "01000000"
            + "0008" + "00" + "00" + "01000000"
            + "0008" + "01" + "FE" + "01000000"
            + "010C" + "00" + "00" + "0000C0FE" + "00000000"
            + "020A" + "00" + "00" + "02000000" + "0000"
            + "020A" + "00" + "09" + "09000000" + "0D00"
            + "0406" + "FF" + "0000" + "01",
            Convert.ToHexString(madt.Bytes.Span[36..]));
    }

    [Fact]
    public void FADT_says_which_legacy_devices_exist_and_how_to_reset()
    {
        AcpiTable full = Fadt("high-ecam");
        AcpiTable bare = Fadt("bare");
        Assert.Equal(0b00_0111u, U32(full, 109) & 0xFFFF);
        Assert.Equal(0b10_0101u, U32(bare, 109) & 0xFFFF);
        Assert.Equal(0xB2u, U32(full, 48));
        Assert.Equal(0u, U32(bare, 48));
        Assert.Equal("01080001" + "F90C000000000000" + "06", Convert.ToHexString(bare.Bytes.Span[116..129]));

        // Reset register supported; not hardware reduced; power button fixed.
        Assert.Equal(1u << 10, U32(bare, 112) & (1u << 10 | 1u << 20 | 1u << 4));
        Assert.Equal(9u, U32(bare, 46) & 0xFFFF);
    }

    [Fact]
    public void Descriptions_that_a_table_cannot_say_are_refused_in_one_sentence()
    {
        PlatformDescription good = SamplePlatforms.Get("small");
        PlatformDescription[] bad =
        [
            good with { ApicIds = [] },
            good with { ApicIds = [0, 255] },
            good with { HostBridge = good.HostBridge with { Io = [SamplePlatforms.Range(0, 0x1_0000)] } },
            good with { HostBridge = good.HostBridge with { Memory32 = [SamplePlatforms.Range(0xFFFF_0000, 0x2_0000)] } },
            good with { HostBridge = good.HostBridge with { Memory64 = [default] } },
            good with { HostBridge = good.HostBridge with { FirstBus = 9, LastBus = 8 } },
            good with { Ecam = new EcamRegion(SamplePlatforms.Range(0xB000_0000, 0x1000), 0, 0, 255) },
            good with { Ecam = new EcamRegion(SamplePlatforms.Range(0x8000_0000, 0x1000_0000), 0, 0, 255) },
            good with { InterruptRoutes = [new PciInterruptRoute(32, 0, 16)] },
            good with { SoftOffSleepType = 8 },
            good with { IoApic = good.IoApic with { Address = new GuestAddress(1UL << 32) } },
        ];
        foreach (PlatformDescription platform in bad)
        {
            ApertureException fault = Assert.Throws<ApertureException>(() => AcpiTables.Build(platform, SamplePlatforms.TablesAt));
            Assert.Equal(ApertureException.ConfigurationError, fault.ExitCode);
        }

        Assert.Throws<ApertureException>(() => AcpiTables.Build(good, new GuestAddress(0xE_0001)));
        Assert.Throws<ApertureException>(() => AcpiTables.Build(good, new GuestAddress(0xFFFF_FF00)));
    }

    private static AcpiTable Fadt(string platform) => AcpiTables.Build(SamplePlatforms.Get(platform), SamplePlatforms.TablesAt)
        .Tables.Single(static table => table.Signature == "FACP");

    private static byte Sum(ReadOnlySpan<byte> bytes)
    {
        byte sum = 0;
        foreach (byte value in bytes)
        {
            sum += value;
        }

        return sum;
    }

    private static ulong U64(AcpiTable table, int at) => BinaryPrimitives.ReadUInt64LittleEndian(table.Bytes.Span[at..]);

    private static uint U32(AcpiTable table, int at) => BinaryPrimitives.ReadUInt32LittleEndian(table.Bytes.Span[at..]);
}
