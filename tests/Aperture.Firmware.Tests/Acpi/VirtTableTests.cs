using System.Buffers.Binary;
using Aperture.Firmware.Acpi;
using Aperture.Firmware.Acpi.Arm;
using Aperture.Firmware.Platform;
using Aperture.Firmware.Tests.Fdt;
using Aperture.TestKit.Parts.Acpi;

namespace Aperture.Firmware.Tests.Acpi;

/// <summary>The ACPI tables of a machine of Arm's kind, read by their specification's offsets.</summary>
public class VirtTableTests
{
    private static readonly GuestAddress Base = new(0x4800_0000);
    private static readonly byte[] DsmUuid = Convert.FromHexString("D037C9E553357A4D9117EA4D19C3434D");

    public static TheoryData<string> Machines => VirtTreeTests.Machines;

    [Theory]
    [MemberData(nameof(Machines))]
    public void Every_table_is_pointed_to_summed_and_inside_the_area(string machine)
    {
        AcpiTableSet set = Build(machine);
        AcpiTable root = set.Tables[0];
        Assert.Equal(set.RsdpAddress, root.Address);
        byte[] xsdt = Bytes(set, "XSDT");
        Assert.Equal(set.Tables.Single(t => t.Signature == "XSDT").Address.Value, BinaryPrimitives.ReadUInt64LittleEndian(root.Bytes.Span[24..]));
        List<ulong> pointed = [.. Enumerable.Range(0, (xsdt.Length - 36) / 8).Select(i => BitConverter.ToUInt64(xsdt, 36 + (8 * i)))];
        Assert.Equal([.. set.Tables.Where(t => t.Signature is not ("RSD PTR " or "XSDT" or "DSDT")).Select(t => t.Address.Value)], pointed);
        Assert.All(set.Tables.Skip(1), t => Assert.Equal(0, t.Bytes.ToArray().Aggregate(0, (sum, b) => sum + b) & 0xFF));
        Assert.All(set.Tables, t => Assert.True(set.Area.Contains(new AddressRange(t.Address, (ulong)t.Bytes.Length))));
        Assert.Equal(set.Tables.Single(t => t.Signature == "DSDT").Address.Value, BitConverter.ToUInt64(Bytes(set, "FACP"), 140));
    }

    [Fact]
    public void The_fixed_table_says_reduced_hardware_and_PSCI_by_HVC()
    {
        byte[] fadt = Bytes(Build("small"), "FACP");
        Assert.Equal((276, 6, 3), (fadt.Length, fadt[8], fadt[131]));
        Assert.Equal(1u << 20, BitConverter.ToUInt32(fadt, 112) & (1u << 20));
        Assert.Equal(3, BitConverter.ToUInt16(fadt, 129));
        Assert.All(fadt[36..112], value => Assert.Equal(0, value));
    }

    [Theory]
    [MemberData(nameof(Machines))]
    public void Every_processor_redistributor_and_translation_service_is_in_the_MADT(string machine)
    {
        VirtDescription told = VirtTreeTests.Get(machine);
        byte[] madt = Bytes(Build(machine), "APIC");
        List<ulong> affinities = [];
        List<AddressRange> redistributors = [];
        ulong? its = null;
        for (int at = 44; at < madt.Length; at += madt[at + 1])
        {
            switch (madt[at])
            {
                case 0x0B:
                    Assert.Equal((80, 1u), (madt[at + 1], BitConverter.ToUInt32(madt, at + 12)));
                    Assert.Equal((uint)affinities.Count, BitConverter.ToUInt32(madt, at + 8));
                    Assert.Equal(told.HasPmu ? 23u : 0, BitConverter.ToUInt32(madt, at + 20));
                    affinities.Add(BitConverter.ToUInt64(madt, at + 68));
                    break;
                case 0x0C:
                    Assert.Equal((told.Gic.Distributor.Start.Value, 3), (BitConverter.ToUInt64(madt, at + 8), madt[at + 20]));
                    break;
                case 0x0E:
                    redistributors.Add(SampleMachines.Range(BitConverter.ToUInt64(madt, at + 4), BitConverter.ToUInt32(madt, at + 12)));
                    break;
                case 0x0F:
                    its = BitConverter.ToUInt64(madt, at + 8);
                    break;
                default:
                    Assert.Fail($"type {madt[at]}");
                    break;
            }
        }

        Assert.Equal(told.Affinities, affinities);
        Assert.Equal(told.Gic.Redistributors, redistributors);
        Assert.Equal(told.Gic.Its?.Start.Value, its);
    }

    [Fact]
    public void Requesters_are_mapped_to_the_translation_service_where_there_is_one()
    {
        byte[] iort = Bytes(Build("small"), "IORT");
        Assert.Equal((2u, 48u, 0, 2), (BitConverter.ToUInt32(iort, 36), BitConverter.ToUInt32(iort, 40), iort[48], iort[72]));
        int mapping = 72 + BitConverter.ToInt32(iort, 72 + 12);
        Assert.Equal<uint>([0u, 0xFFFF, 0, 48, 0], Enumerable.Range(0, 5).Select(i => BitConverter.ToUInt32(iort, mapping + (4 * i))));
        Assert.Equal(iort.Length, mapping + 20);
        byte[] without = Bytes(Build("wide"), "IORT");
        Assert.Equal((1u, 2, 0u), (BitConverter.ToUInt32(without, 36), without[48], BitConverter.ToUInt32(without, 56)));
    }

    [Theory]
    [MemberData(nameof(Machines))]
    public void The_host_bridge_forwards_exactly_the_described_windows(string machine)
    {
        AcpiInterpreter.SkipUnlessPresent();
        PcieRootDescription pcie = VirtTreeTests.Get(machine).Pcie;
        byte[] dsdt = Bytes(Build(machine), "DSDT");
        List<AcpiObject> found = AcpiInterpreter.Evaluate(
            dsdt, "\\_SB.PCI0._CRS", "\\_SB.PCI0.RES0._CRS", "\\_SB.PCI0._CBA", "\\_SB.PCI0._CCA", "\\_SB.PCI0._SEG", "\\_SB.PCI0._PRT",
            $"\\_SB.PCI0._DSM {AcpiInterpreter.Argument(DsmUuid)} 1 5 [0]");
        Assert.Equal(
            [
                $"bus16 window 0-{pcie.Ecam.LastBus:x}", .. pcie.Memory32.Select(w => $"memory32 window {w.Start.Value:x}-{w.Last.Value:x}"),
                "io32 window 0-ffff at 3eff0000", .. pcie.Memory64.Select(w => $"memory64 window {w.Start.Value:x}-{w.Last.Value:x}"),
            ],
            ResourceReader.Read(found[0].Buffer!));
        Assert.Equal([$"memory64 own {pcie.Ecam.Range.Start.Value:x}-{pcie.Ecam.Range.Last.Value:x}"], ResourceReader.Read(found[1].Buffer!));
        Assert.Equal((pcie.Ecam.Range.Start.Value, 1UL, (ulong)pcie.Ecam.Segment), (found[2].Integer, found[3].Integer, found[4].Integer));
        Assert.Equal(128, found[5].Package!.Length);
        foreach ((int index, AcpiObject entry) in found[5].Package!.Index())
        {
            (int device, int pin) = (index / 4, index % 4);
            Assert.Equal(
                [((ulong)device << 16) | 0xFFFF, (ulong)pin, 0UL, 35 + (ulong)((device + pin) % 4)], [.. entry.Package!.Select(part => part.Integer!.Value)]);
        }

        Assert.Equal(0UL, found[6].Integer);
    }

    [Fact]
    public void The_console_and_the_event_device_are_where_they_are_and_interrupt_as_they_do()
    {
        AcpiInterpreter.SkipUnlessPresent();
        byte[] dsdt = Bytes(Build("large"), "DSDT");
        List<AcpiObject> found = AcpiInterpreter.Evaluate(dsdt, "\\_SB.COM0._CRS", "\\_SB.GED._CRS", "\\_SB.FWCF._CRS");
        Assert.Equal(["fixed 9000000+1000", "interrupt 33 flags 1"], ResourceReader.Read(found[0].Buffer!));
        Assert.Equal(["interrupt 41 flags 1"], ResourceReader.Read(found[1].Buffer!));
        Assert.Equal(["fixed 9020000+18"], ResourceReader.Read(found[2].Buffer!));
        byte[] spcr = Bytes(Build("small"), "SPCR");
        Assert.Equal((80, 3, 0x0900_0000UL, 8, 33u), (spcr.Length, spcr[36], BitConverter.ToUInt64(spcr, 44), spcr[52], BitConverter.ToUInt32(spcr, 54)));
        byte[] gtdt = Bytes(Build("small"), "GTDT");
        Assert.Equal<uint>([29u, 30, 27, 26], Enumerable.Range(0, 4).Select(i => BitConverter.ToUInt32(gtdt, 48 + (8 * i))));
    }

    // Not the one whose segment is 1: the suite looks for it on the machine that it runs on.
    [Theory]
    [InlineData("small")]
    [InlineData("wide")]
    public void The_firmware_test_suite_finds_no_fault_in_the_tables(string machine)
    {
        FirmwareSuite.Require();
        FirmwareSuite.Passes(Build(machine));
    }

    [Fact]
    public void A_base_that_is_no_multiple_of_64_is_refused() =>
        Assert.Throws<ApertureException>(() => VirtTables.Build(SampleMachines.Small, new GuestAddress(0x4800_0010)));

    private static AcpiTableSet Build(string machine) => VirtTables.Build(VirtTreeTests.Get(machine), Base);

    private static byte[] Bytes(AcpiTableSet set, string signature) => set.Tables.Single(t => t.Signature == signature).Bytes.ToArray();
}
