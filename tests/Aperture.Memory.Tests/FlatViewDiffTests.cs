using FsCheck.Fluent;

namespace Aperture.Memory.Tests;

public sealed class FlatViewDiffTests : IDisposable
{
    private const int Units = 24;
    private readonly RamBlock _ram = RamBlock.Create("test", 4096);

    public void Dispose() => _ram.Dispose();

    [Fact]
    public void Taking_the_removed_from_the_old_view_and_adding_the_added_gives_the_new_one()
    {
        ForEachPairOfViews((old, next, diff) =>
        {
            HashSet<FlatRange> runs = [.. old.Ranges.ToArray()];
            Assert.All(diff.Removed, run => Assert.True(runs.Remove(run)));
            Assert.All(diff.Kept, run => Assert.Contains(run, runs));
            Assert.Equal(diff.Kept.Length, runs.Count);
            Assert.All(diff.Added, run => Assert.True(runs.Add(run)));
            Assert.True(runs.SetEquals(next.Ranges.ToArray()));
            Assert.Empty(diff.Removed.Intersect(diff.Added));
        });
    }

    [Fact]
    public void Live_memory_is_replaced_exactly_when_removed_RAM_shares_an_address_with_something_added()
    {
        ForEachPairOfViews((_, _, diff) =>
        {
            bool expected = diff.Removed.Any(gone =>
                gone.Region.Ram is not null && diff.Added.Any(come => come.Range.Overlaps(gone.Range)));
            Assert.Equal(expected, diff.ReplacesLiveMemory);
        });
    }

    [Fact]
    public void Memory_is_replaced_by_memory_exactly_when_removed_RAM_shares_an_address_with_added_RAM()
    {
        int handlers = 0;
        ForEachPairOfViews((_, _, diff) =>
        {
            bool expected = diff.Removed.Any(gone =>
                gone.Region.Ram is not null && diff.Added.Any(come => come.Region.Ram is not null && come.Range.Overlaps(gone.Range)));
            Assert.Equal(expected, diff.ReplacesMemoryByMemory);
            handlers += diff.ReplacesLiveMemory && !expected ? 1 : 0;
        });
        Assert.True(handlers > 0, "RAM was never replaced by a handler alone");
    }

    [Fact]
    public void A_view_differs_in_nothing_from_itself()
    {
        ForEachPairOfViews((_, next, _) => Assert.True(FlatViewDiff.Between(next, next).IsEmpty));
    }

    private void ForEachPairOfViews(Action<FlatView, FlatView, FlatViewDiff> check)
    {
        Prop.ForAll(Edit.Sequences(Units).Zip(Edit.Sequences(Units)).ToArbitrary(), pair =>
        {
            using AddressSpace space = AddressSpace.ForMemory();
            Layout layout = new(0x1000, 1, Units, _ram);
            FlatView old = Apply(space, layout, pair.Item1);
            FlatView next = Apply(space, layout, pair.Item2);
            check(old, next, FlatViewDiff.Between(old, next));
        }).Holds();
    }

    private static FlatView Apply(AddressSpace space, Layout layout, Edit[] edits)
    {
        using AddressChange change = space.Begin();
        foreach (Edit edit in edits)
        {
            layout.Apply(edit, change);
        }

        change.Commit();
        return space.View;
    }
}
