using FsCheck.Fluent;

namespace Aperture.Memory.Tests;

public sealed class FlatViewTests : IDisposable
{
    private const int Units = 24;
    private readonly RamBlock _ram = RamBlock.Create("test", 4096);

    public void Dispose() => _ram.Dispose();

    [Theory]
    [InlineData(0UL)]
    [InlineData(0xFFFF_FFF0UL)]
    [InlineData(ulong.MaxValue - Units)]
    public void Every_address_belongs_to_the_highest_priority_and_of_equals_to_the_newest(ulong origin)
    {
        Prop.ForAll(Edit.Sequences(Units).ToArbitrary(), edits =>
        {
            using AddressSpace space = AddressSpace.ForMemory();
            Layout layout = new(origin, 1, Units, _ram);
            foreach (Edit edit in edits)
            {
                using AddressChange change = space.Begin();
                layout.Apply(edit, change);
                change.Commit();
                CheckAgainst(layout, space.View);
            }
        }).Holds();
    }

    [Fact]
    public void A_view_is_sorted_disjoint_and_has_neighbours_of_one_region_merged()
    {
        Prop.ForAll(Edit.Sequences(Units).ToArbitrary(), edits =>
        {
            using AddressSpace space = AddressSpace.ForMemory();
            Layout layout = new(0, 1, Units, _ram);
            using (AddressChange change = space.Begin())
            {
                foreach (Edit edit in edits)
                {
                    layout.Apply(edit, change);
                }

                change.Commit();
            }

            ReadOnlySpan<FlatRange> runs = space.View.Ranges;
            for (int i = 1; i < runs.Length; i++)
            {
                FlatRange left = runs[i - 1];
                FlatRange right = runs[i];
                Assert.True(left.Range.Last < right.Range.Start);
                Assert.False(left.Range.Last + 1 == right.Range.Start && ReferenceEquals(left.Region, right.Region));
            }
        }).Holds();
    }

    [Fact]
    public void A_cached_lookup_answers_as_a_fresh_one_also_after_the_view_changed()
    {
        Prop.ForAll(Edit.Sequences(Units).ToArbitrary(), edits =>
        {
            using AddressSpace space = AddressSpace.ForMemory();
            Layout layout = new(0, 1, Units, _ram);
            LookupCache cache = default;
            foreach (Edit edit in edits)
            {
                using (AddressChange change = space.Begin())
                {
                    layout.Apply(edit, change);
                    change.Commit();
                }

                for (int probe = 0; probe < 2 * Units; probe++)
                {
                    GuestAddress address = new((ulong)(probe * 7 % (Units + 2)));
                    Assert.Equal(space.View.IndexOf(address), space.View.IndexOf(address, ref cache));
                }
            }
        }).Holds();
    }

    [Fact]
    public void An_extent_ends_with_the_run_or_the_gap_it_starts_in()
    {
        Prop.ForAll(Edit.Sequences(Units).ToArbitrary(), Gen.Choose(1, Units).ToArbitrary(), (edits, length) =>
        {
            using AddressSpace space = AddressSpace.ForMemory();
            Layout layout = new(0, 1, Units, _ram);
            using (AddressChange change = space.Begin())
            {
                foreach (Edit edit in edits)
                {
                    layout.Apply(edit, change);
                }

                change.Commit();
            }

            for (int start = 0; start < Units; start++)
            {
                int extent = space.View.Extent(layout.At(start), length, out int index);
                int expected = 1;
                while (expected < length && layout.Owner(start + expected)?.Region == layout.Owner(start)?.Region)
                {
                    expected++;
                }

                Assert.Equal(expected, extent);
                Assert.Equal(space.View.IndexOf(layout.At(start)), index);
            }
        }).Holds();
    }

    private static void CheckAgainst(Layout layout, FlatView view)
    {
        for (int unit = 0; unit < layout.Units; unit++)
        {
            int index = view.IndexOf(layout.At(unit));
            (Region Region, ulong Offset)? owner = layout.Owner(unit);
            Assert.Equal(owner is not null, index >= 0);
            if (owner is { } expected)
            {
                FlatRange run = view.Ranges[index];
                Assert.Same(expected.Region, run.Region);
                Assert.Equal(expected.Offset, run.OffsetOf(layout.At(unit)));
            }
        }
    }
}
