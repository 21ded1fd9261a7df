using System.Text;
using Aperture.Firmware.Acpi;
using Aperture.Firmware.Aml;
using Aperture.Firmware.Tests.Acpi;
using FsCheck;
using FsCheck.Fluent;

namespace Aperture.Firmware.Tests.Aml;

public class AmlEncodingTests
{
    /// <summary>A reader written from ACPI 6.5 20.2.4 alone.</summary>
    private static (int Length, int Bytes) ReadPackageLength(ReadOnlySpan<byte> bytes)
    {
        int followers = bytes[0] >> 6;
        if (followers == 0)
        {
            return (bytes[0] & 0x3F, 1);
        }

        Assert.Equal(0, bytes[0] & 0x30);
        int length = bytes[0] & 0xF;
        for (int i = 0; i < followers; i++)
        {
            length |= bytes[1 + i] << (4 + 8 * i);
        }

        return (length, followers + 1);
    }

    private static Gen<int> Sizes { get; } = Gen.OneOf(
        Gen.Choose(0, AmlEncoding.LargestPackage - 4),
        from edge in Gen.Elements(0x3F, 0xFFF, 0xF_FFFF)
        from off in Gen.Choose(-6, 6)
        select edge + off);

    [Fact]
    public void A_package_length_reads_back_and_takes_no_more_bytes_than_it_must()
    {
        Prop.ForAll(Sizes.ToArbitrary(), body =>
        {
            byte[] with = AmlEncoding.PackageLength(body);
            Assert.Equal((body + with.Length, with.Length), ReadPackageLength(with));
            byte[] without = AmlEncoding.PackageLength(body, countsItself: false);
            Assert.Equal((body, without.Length), ReadPackageLength(without));

            // One byte less would have six bits, or four and eight for each follower.
            int shorter = with.Length - 1;
            Assert.True(shorter == 0 || body + shorter > (shorter == 1 ? 0x3F : (1 << 8 * shorter - 4) - 1));
        }).Holds();
        Assert.Throws<ArgumentOutOfRangeException>(() => AmlEncoding.PackageLength(AmlEncoding.LargestPackage));
    }

    [Theory]
    [InlineData("_HID", "_HID")]
    [InlineData("RTC", "RTC_")]
    [InlineData("\\_SB.PCI0", "\\._SB_PCI0")]
    [InlineData("^^CDW1", "^^CDW1")]
    [InlineData("\\_SB.PCI0.LPC", "\\/\u0003_SB_PCI0LPC_")]
    [InlineData("\\", "\\\0")]
    public void A_path_has_its_prefixes_and_filled_segments(string path, string encoded) =>
        Assert.Equal(Encoding.ASCII.GetBytes(encoded), AmlEncoding.Path(path));

    [Theory]
    [InlineData("")]
    [InlineData("PCI00")]
    [InlineData("0PCI")]
    [InlineData("pci0")]
    [InlineData("A..B")]
    [InlineData("\\_SB.")]
    [InlineData("A^B")]
    public void A_malformed_path_is_refused(string path) => Assert.ThrowsAny<ArgumentException>(() => AmlEncoding.Path(path));

    [Theory]
    [InlineData("PNP0A0")]
    [InlineData("pnp0A08")]
    [InlineData("PNP0AXY")]
    public void A_malformed_plug_and_play_id_is_refused(string id) =>
        Assert.ThrowsAny<ArgumentException>(() => Asl.EisaId(id));

    [Fact]
    public void Statements_compute_what_they_say_in_the_reference_interpreter()
    {
        AcpiInterpreter.SkipUnlessPresent();
        AmlTarget local = Asl.Local(1);
        AmlTerm[] terms =
        [
            Asl.OperationRegion("PMIO", AmlRegionSpace.SystemIo, 0x600, 0x10),
            Asl.Field("PMIO", AmlFieldAccess.Byte, new AmlFieldUnit("STAT", 16), new AmlFieldUnit(null, 80), new AmlFieldUnit("HIGH", 1)),
            Asl.Name("BIG", Asl.Package([.. Enumerable.Range(0, 300).Select(static i => Asl.Integer((ulong)i << 30))])),
            Asl.Name("TEXT", Asl.String(new string('x', 5000))),
            Asl.Name("_CRS", Asl.ResourceTemplate(
                AmlResource.DWordIO(SamplePlatforms.Range(0x1000, 0x1000)),
                AmlResource.Interrupt(20, levelTriggered: true, activeLow: true, shared: true),
                AmlResource.QWordMemory(SamplePlatforms.Range(0x1_0000_0000, 0x1000), AmlCaching.Prefetchable),
                AmlResource.IrqNoFlags(3, 12))),
            Asl.Method(
                "CALC",
                2,
                serialized: false,
                Asl.Store(Asl.Add(Asl.Arg(0), 0x1_0000_0000), local),
                Asl.If(
                    Asl.LGreater(Asl.Arg(1), 5),
                    Asl.Or(local, 8, local)),
                Asl.Else(Asl.And(local, 0xF, local)),
                Asl.Return(local)),
        ];
        byte[] dsdt = new AcpiTableBuilder("DSDT", 2).Append(Asl.Scope("\\_SB", Asl.Device("TEST", terms)).Bytes).Finish();
        List<AcpiObject> results = AcpiInterpreter.Evaluate(
            dsdt,
            "\\_SB.TEST.CALC 0x11 6",
            "\\_SB.TEST.CALC 0x13 5",
            "\\_SB.TEST.BIG",
            "\\_SB.TEST._CRS");
        Assert.Equal(0x1_0000_0019UL, results[0].Integer);
        Assert.Equal(3UL, results[1].Integer);
        Assert.Equal(Enumerable.Range(0, 300).Select(static i => (ulong?)i << 30), results[2].Package!.Select(static item => item.Integer));
        Assert.Equal(
            ["io32 window 1000-1fff", "interrupt 20 flags d", "memory64 window 100000000-100000fff prefetchable", "irq mask 1008"],
            ResourceReader.Read(results[3].Buffer!));
    }
}
