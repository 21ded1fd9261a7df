using FsCheck.Fluent;

namespace Aperture.Memory.Tests;

public class CountingTests
{
    private const int Regions = 4;
    private const int Span = 0x100;

    /// <summary>
    /// Each thread keeps its own record of what it issued and to whom, by what the handlers themselves saw; the map changes all the while. Nothing is lost and
    /// nothing counted twice, whatever a thread's cache remembered of an older map.
    /// </summary>
    [Fact]
    public void Sums_are_what_the_threads_issued_while_the_map_changed()
    {
        const int Threads = 3;
        const int Accesses = 60_000;
        using AddressSpace space = AddressSpace.ForMemory();
        UnclaimedLog unclaimed = new();
        Dispatcher dispatcher = new(space, unclaimed);
        Witness[] handlers = [.. Enumerable.Range(0, Regions).Select(_ => new Witness())];
        Shuffle(space, handlers, 0);
        long[] missedReads = new long[Threads];
        long[] missedWrites = new long[Threads];
        using Barrier start = new(Threads + 1);
        int left = Threads;
        Thread[] threads = [.. Enumerable.Range(0, Threads).Select(index => new Thread(() =>
        {
            LookupCache cache = default;
            DmaPort dma = new(space, dispatcher, static _ => false);
            Random random = new(index);
            byte[] word = new byte[4];
            start.SignalAndWait();
            for (int i = 0; i < Accesses; i++)
            {
                GuestAddress address = new((ulong)random.Next(Regions * Span / 4) * 4);
                int way = random.Next(3);
                if (way == 0)
                {
                    missedReads[index] += dispatcher.Read(ref cache, address, 4, out _) == AccessResult.Ok ? 0 : 1;
                }
                else if (way == 1)
                {
                    missedWrites[index] += dispatcher.Write(ref cache, address, 4, 0) == AccessResult.Ok ? 0 : 1;
                }
                else
                {
                    // An address that nothing has is not dispatched at all.
                    dma.Write(address, word);
                }
            }

            Interlocked.Decrement(ref left);
        }))];
        Array.ForEach(threads, thread => thread.Start());
        start.SignalAndWait(TestContext.Current.CancellationToken);
        for (int change = 1; Volatile.Read(ref left) > 0; change++)
        {
            Shuffle(space, handlers, change);
        }

        Array.ForEach(threads, thread => thread.Join());
        for (int i = 0; i < Regions; i++)
        {
            RegionCount count = Assert.Single(space.Counts, c => c.Name == $"r{i}");
            Assert.Equal((handlers[i].Reads, handlers[i].Writes), ((long)count.Reads, (long)count.Writes));
            Assert.True(handlers[i].Reads > 0 && handlers[i].Writes > 0);
        }

        Assert.Equal((missedReads.Sum(), missedWrites.Sum()), ((long)unclaimed.Reads, (long)unclaimed.Writes));
        Assert.Equal(Regions, space.Counts.Count);
    }

    /// <summary>One thread, any accesses and edits: what is counted is what a device that records its calls saw, split accesses by their pieces.</summary>
    [Fact]
    public void Every_access_that_a_device_saw_is_counted_once()
    {
        Prop.ForAll(
            (from address in Gen.Choose(0, (Regions * Span) + 8)
             from size in Gen.Choose(1, 8)
             from kind in Gen.Choose(0, 7)
             select (address, size, kind)).ArrayOf().ToArbitrary(),
            accesses =>
            {
                using AddressSpace space = AddressSpace.ForMemory();
                Dispatcher dispatcher = new(space, new UnclaimedLog());
                Witness[] handlers = [.. Enumerable.Range(0, Regions).Select(_ => new Witness())];
                Shuffle(space, handlers, 0);
                LookupCache cache = default;
                int changes = 0;
                foreach ((int address, int size, int kind) in accesses)
                {
                    switch (kind)
                    {
                        case 0:
                            Shuffle(space, handlers, ++changes);
                            break;
                        case < 4:
                            dispatcher.Read(ref cache, new GuestAddress((ulong)address), size, out _);
                            break;
                        default:
                            dispatcher.Write(ref cache, new GuestAddress((ulong)address), size, 0);
                            break;
                    }
                }

                Assert.All(space.Counts, c => Assert.Equal(handlers[c.Name[1] - '0'].Seen, (c.Reads, c.Writes)));
            }).Holds();
    }

    [Fact]
    public void A_region_that_left_the_map_keeps_its_sums_and_one_that_comes_back_goes_on()
    {
        using AddressSpace space = AddressSpace.ForMemory();
        Dispatcher dispatcher = new(space, new UnclaimedLog());
        LookupCache cache = default;
        for (ulong round = 1; round <= 3; round++)
        {
            // Plugged in again, it is another region of the same name.
            Region region = Region.Trapped("nic.bar0", Span, new Witness());
            Edit(space, change => change.Place(region, new GuestAddress(round << 12), 0));
            dispatcher.Read(ref cache, new GuestAddress(round << 12), 4, out _);
            Edit(space, change => change.Remove(region));
            Assert.Equal(AccessResult.Unclaimed, dispatcher.Read(ref cache, new GuestAddress(round << 12), 4, out _));
            Assert.Equal(new RegionCount("nic.bar0", round, 0), Assert.Single(space.Counts));
            Assert.Equal(round, region.Reads);
        }
    }

    [Fact]
    public void Names_without_end_count_together()
    {
        using AddressSpace space = AddressSpace.ForMemory();
        Dispatcher dispatcher = new(space, new UnclaimedLog());
        Region[] regions = [.. Enumerable.Range(0, RegionRoster.Capacity + 3).Select(i => Region.Trapped($"r{i}", 4, new Witness()))];
        Edit(space, change => Array.ForEach(regions, region => change.Place(region, new GuestAddress((ulong)Array.IndexOf(regions, region) * 4), 0)));
        LookupCache cache = default;
        foreach (int i in (int[])[0, RegionRoster.Capacity, RegionRoster.Capacity + 2])
        {
            dispatcher.Write(ref cache, new GuestAddress((ulong)i * 4), 4, 0);
        }

        Assert.Equal(RegionRoster.Capacity + 1, space.Counts.Count);
        Assert.Equal(1UL, space.Counts[0].Writes);
        Assert.Equal(2UL, space.Counts[^1].Writes);
    }

    [Fact]
    public void A_cache_of_two_places_allocates_nothing_and_answers_right_after_every_change()
    {
        using AddressSpace space = AddressSpace.ForMemory();
        Dispatcher dispatcher = new(space, new UnclaimedLog());
        Witness[] handlers = [.. Enumerable.Range(0, Regions).Select(_ => new Witness())];
        LookupCache cache = default;
        for (int change = 0; change < 50; change++)
        {
            Shuffle(space, handlers, change);
            for (int i = 0; i < 4 * Regions; i++)
            {
                GuestAddress address = new((ulong)(i * 7 % Regions) * Span);
                int index = space.View.IndexOf(address);
                AccessResult result = dispatcher.Read(ref cache, address, 4, out ulong value);
                Assert.Equal(index < 0 ? 0xFFFF_FFFF : (uint)handlers[space.View.Ranges[index].Region.Name[1] - '0'].GetHashCode(), (uint)value);
                Assert.Equal(index >= 0, result == AccessResult.Ok);
            }
        }

        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 10_000; i++)
        {
            dispatcher.Read(ref cache, new GuestAddress((ulong)(i % Regions) * Span), 4, out _);
        }

        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    // Rotates the regions over the places, one place empty; each change makes the regions anew under their names.
    private static void Shuffle(AddressSpace space, Witness[] handlers, int step) => Edit(space, change =>
    {
        foreach (Placement placement in space.Placements)
        {
            change.Remove(placement.Region);
        }

        for (int i = 0; i < Regions; i++)
        {
            int place = (i + step) % (Regions + 1);
            change.Place(Region.Trapped($"r{i}", Span, handlers[i]), new GuestAddress((ulong)place * Span), 0);
        }
    });

    private static void Edit(AddressSpace space, Action<AddressChange> edit)
    {
        using AddressChange change = space.Begin();
        edit(change);
        change.Commit();
    }

    /// <summary>Counts its calls as they come, from any thread.</summary>
    private sealed class Witness : IAccessHandler
    {
        private long _reads;
        private long _writes;

        public long Reads => Interlocked.Read(ref _reads);

        public long Writes => Interlocked.Read(ref _writes);

        public (ulong Reads, ulong Writes) Seen => ((ulong)Reads, (ulong)Writes);

        public AccessResult Read(ulong offset, int size, out ulong value)
        {
            Interlocked.Increment(ref _reads);
            value = (uint)GetHashCode();
            return AccessResult.Ok;
        }

        public AccessResult Write(ulong offset, int size, ulong value)
        {
            Interlocked.Increment(ref _writes);
            return AccessResult.Ok;
        }
    }
}
