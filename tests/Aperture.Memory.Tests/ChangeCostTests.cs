using System.Runtime.CompilerServices;

namespace Aperture.Memory.Tests;

/// <summary>What a change leaves behind, besides the view.</summary>
public class ChangeCostTests
{
    private const ulong Unit = 0x1000;

    private static long BytesOfAMove(int regions)
    {
        using AddressSpace space = AddressSpace.ForMemory();
        ByteDevice device = new(1);
        List<Region> placed = [.. Enumerable.Range(0, regions).Select(i => Region.Trapped($"r{i}", Unit, device))];
        using (AddressChange change = space.Begin())
        {
            for (int i = 0; i < regions; i++)
            {
                change.Place(placed[i], new GuestAddress((ulong)i * 2 * Unit), 0);
            }

            change.Commit();
        }

        Region mover = placed[regions / 2];
        long fewest = long.MaxValue;
        for (int round = 0; round < 100; round++)
        {
            GuestAddress place = new((((round & 1) == 0 ? 0UL : (ulong)regions) * 2 * Unit) + (Unit / 2));
            int collections = GC.CollectionCount(0);
            long before = GC.GetAllocatedBytesForCurrentThread();
            using (AddressChange change = space.Begin())
            {
                change.Remove(mover);
                change.Place(mover, place, 0);
                change.Commit();
            }

            long bytes = GC.GetAllocatedBytesForCurrentThread() - before;
            fewest = collections == GC.CollectionCount(0) ? Math.Min(fewest, bytes) : fewest;
        }

        return fewest;
    }

    [Fact]
    public void A_move_leaves_nothing_whose_size_grows_with_the_view_but_the_new_view()
    {
        const int Few = 16;
        const int Many = 1024;
        long grown = BytesOfAMove(Many) - BytesOfAMove(Few);

        // Either place leaves as many runs as there are regions.
        long view = (Many - Few) * Unsafe.SizeOf<FlatRange>();
        Assert.InRange(grown, view, view + 64);
    }
}
