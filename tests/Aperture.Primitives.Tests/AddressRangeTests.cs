using FsCheck;
using FsCheck.Fluent;

namespace Aperture.Primitives.Tests;

public class AddressRangeTests
{
    // The oracle works on 128-bit integers, where nothing wraps.
    private static bool OracleOverlaps(AddressRange a, AddressRange b)
    {
        UInt128 aEnd = (UInt128)a.Start.Value + a.Size;
        UInt128 bEnd = (UInt128)b.Start.Value + b.Size;
        return a.Size != 0 && b.Size != 0 && a.Start.Value < bEnd && b.Start.Value < aEnd;
    }

    private static Gen<AddressRange> Ranges { get; } =
        from near in Gen.Elements(0UL, 0x1000UL, ulong.MaxValue - 64)
        from start in Gen.Choose(0, 32)
        from size in Gen.Choose(0, 33)
        let address = new GuestAddress(near + (ulong)start)
        let clipped = AddressRange.Fits(address, (ulong)size) ? (ulong)size : 0
        select new AddressRange(address, clipped);

    [Fact]
    public void Overlap_intersection_and_containment_agree_with_wide_arithmetic()
    {
        Prop.ForAll(Ranges.Zip(Ranges).ToArbitrary(), pair =>
        {
            (AddressRange a, AddressRange b) = pair;
            bool overlaps = OracleOverlaps(a, b);
            AddressRange both = a.Intersect(b);
            Assert.Equal(overlaps, a.Overlaps(b));
            Assert.Equal(overlaps, b.Overlaps(a));
            Assert.Equal(overlaps, !both.IsEmpty);
            Assert.Equal(overlaps && both == b, a.Contains(b));
        }).Holds();
    }

    [Fact]
    public void A_range_may_end_at_the_last_address_but_not_pass_it()
    {
        AddressRange top = new(new GuestAddress(ulong.MaxValue), 1);
        Assert.Equal(ulong.MaxValue, top.Last.Value);
        Assert.Throws<ArgumentOutOfRangeException>(() => new AddressRange(new GuestAddress(ulong.MaxValue), 2));
        Assert.False(top.Contains(GuestAddress.Zero));
    }
}
