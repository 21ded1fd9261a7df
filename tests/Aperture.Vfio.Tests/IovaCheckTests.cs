using Aperture.Assignment;
using Aperture.Linux.Vfio;
using FsCheck;
using FsCheck.Fluent;

namespace Aperture.Vfio.Tests;

public class IovaCheckTests
{
    private static readonly IReadOnlyList<AddressRange> Ranges =
        [Span(0, 0xFEDF_FFFF), Span(0xFEF0_0000, 0x7F_FFFF_FFFF)];

    [Theory]
    [InlineData(0, 0xFEDF_FFFF, null)]
    [InlineData(0x1_0000_0000, 0x7F_FFFF_FFFF, null)]
    [InlineData(0xFED0_0000, 0xFEE0_0FFF, "the host's IOMMU reserves 0xfee00000-0xfee00fff")]
    [InlineData(0xFED0_0000, 0xFFFF_FFFF, "the host's IOMMU reserves 0xfee00000-0xfeefffff")]
    [InlineData(0x7F_FFFF_0000, 0x80_0000_FFFF, "the host's IOMMU maps addresses up to 0x7fffffffff only")]
    [InlineData(0x100_0000_0000, 0x100_0000_0FFF, "the host's IOMMU maps addresses up to 0x7fffffffff only")]
    public void The_reason_names_what_is_in_the_way(ulong first, ulong last, string? reason) =>
        Assert.Equal(reason, IovaCheck.WhyNot(Span(first, last), Ranges));

    [Fact]
    public void A_kernel_that_does_not_say_refuses_nothing() => Assert.Null(IovaCheck.WhyNot(Span(0xFEE0_0000, 0xFEE0_0FFF), []));

    // Against a model of single addresses.
    [Fact]
    public void Nothing_is_in_the_way_exactly_when_every_address_is_in_a_range()
    {
        Gen<IovaRange[]> some = (from start in Gen.Choose(0, 60)
                                 from length in Gen.Choose(-2, 12)
                                 select new IovaRange((ulong)start, (ulong)Math.Max(0, start + length))).ArrayOf();
        Gen<(int First, int Length)> asked = from first in Gen.Choose(0, 70) from length in Gen.Choose(1, 10) select (first, length);
        Prop.ForAll(some.ToArbitrary(), asked.ToArbitrary(), (raw, ask) =>
        {
            IReadOnlyList<AddressRange> ranges = IovaList.From(raw);
            bool all = Enumerable.Range(ask.First, ask.Length).All(address => raw.Any(range => (ulong)address >= range.Start && (ulong)address <= range.Last));
            string? reason = IovaCheck.WhyNot(new AddressRange(new GuestAddress((ulong)ask.First), (ulong)ask.Length), ranges);
            Assert.Equal(all || ranges.Count == 0, reason is null);
            for (int i = 1; i < ranges.Count; i++)
            {
                Assert.True(ranges[i].Start.Value > ranges[i - 1].Last.Value + 1);
            }
        }).Holds();
    }

    [Fact]
    public void The_whole_address_space_reads_as_one_range() =>
        Assert.Equal(0UL, Assert.Single(IovaList.From([new IovaRange(0, ulong.MaxValue)])).Start.Value);

    private static AddressRange Span(ulong first, ulong last) => AddressRange.FromBounds(new GuestAddress(first), new GuestAddress(last));
}
