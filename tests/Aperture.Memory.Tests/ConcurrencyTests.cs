namespace Aperture.Memory.Tests;

public class ConcurrencyTests
{
    private const int Swaps = 20_000;

    /// <summary>Two regions swap places in one commit, over and over: an access across their seam must find one of each, never one twice.</summary>
    [Fact]
    public void Readers_never_see_half_of_a_change()
    {
        using RamBlock block = RamBlock.Create("test", 0x2000);
        block.AsSpan(0, 0x1000).Fill(0xAA);
        block.AsSpan(0x1000, 0x1000).Fill(0xBB);
        Region a = Region.ForRam("a", block, 0, 0x1000);
        Region b = Region.ForRam("b", block, 0x1000, 0x1000);
        using AddressSpace space = AddressSpace.ForMemory();
        Swap(space, a, b);
        Dispatcher dispatcher = new(space, new UnclaimedLog());
        int torn = 0;
        int running = 0;
        bool done = false;
        Thread[] readers = [.. Enumerable.Range(0, 2).Select(kind => new Thread(() =>
        {
            LookupCache cache = default;
            GuestMemory memory = new(space);
            Interlocked.Increment(ref running);
            while (!Volatile.Read(ref done))
            {
                GuestAddress seam = new(0x0FFF);
                ulong value;
                if (kind == 0)
                {
                    dispatcher.Read(ref cache, seam, 2, out value);
                }
                else
                {
                    memory.TryRead(seam, out ushort word);
                    value = word;
                }

                if (value is not (0xAABB or 0xBBAA))
                {
                    Interlocked.Increment(ref torn);
                }
            }
        }))];
        Array.ForEach(readers, thread => thread.Start());
        SpinWait.SpinUntil(() => Volatile.Read(ref running) == 2);
        for (int i = 0; i < Swaps; i++)
        {
            (a, b) = (b, a);
            Swap(space, a, b);
        }

        Volatile.Write(ref done, true);
        Array.ForEach(readers, thread => thread.Join());
        Assert.Equal(0, torn);
    }

    [Fact]
    public void Changes_of_several_threads_are_one_after_the_other_and_none_is_lost()
    {
        using AddressSpace space = AddressSpace.ForMemory();
        FakeSlots slots = new(1024);
        SlotListener listener = new(slots);
        space.AddListener(listener);
        using RamBlock block = RamBlock.Create("test", 0x1000);
        Thread[] writers = [.. Enumerable.Range(0, 4).Select(writer => new Thread(() =>
        {
            for (int i = 0; i < 200; i++)
            {
                Region region = Region.ForRam($"w{writer}.{i}", block, 0, 0x1000);
                using AddressChange change = space.Begin();
                change.Place(region, new GuestAddress((ulong)(writer * 200 + i) << 12), 0);
                change.Commit();
            }
        }))];
        Array.ForEach(writers, thread => thread.Start());
        Array.ForEach(writers, thread => thread.Join());
        Assert.Equal(800, space.View.Ranges.Length);
        Assert.Equal(800, slots.Table.Count);
        Assert.Equal(0, slots.Refusals);
        Assert.Null(listener.Verify());
    }

    [Fact]
    public void An_aligned_value_is_never_seen_half_written()
    {
        using RamBlock block = RamBlock.Create("test", 0x1000);
        using AddressSpace space = AddressSpace.ForMemory();
        Swap(space, Region.ForRam("ram", block, 0, 0x1000), Region.Hole("hole", 0x1000));
        GuestMemory memory = new(space);
        bool done = false;
        Thread writer = new(() =>
        {
            for (ulong i = 0; !Volatile.Read(ref done); i++)
            {
                memory.TryWrite(new GuestAddress(0x38), (i & 1) == 0 ? 0UL : ulong.MaxValue);
            }
        });
        writer.Start();
        int torn = 0;
        byte[] bytes = new byte[8];
        for (int i = 0; i < 200_000; i++)
        {
            memory.TryRead(new GuestAddress(0x38), out ulong typed);
            memory.Read(new GuestAddress(0x38), bytes);
            torn += typed is 0 or ulong.MaxValue && BitConverter.ToUInt64(bytes) is 0 or ulong.MaxValue ? 0 : 1;
        }

        Volatile.Write(ref done, true);
        writer.Join();
        Assert.Equal(0, torn);
    }

    private static void Swap(AddressSpace space, Region first, Region second)
    {
        using AddressChange change = space.Begin();
        change.Remove(first);
        change.Remove(second);
        change.Place(first, GuestAddress.Zero, 0);
        change.Place(second, new GuestAddress(0x1000), 0);
        change.Commit();
    }
}
