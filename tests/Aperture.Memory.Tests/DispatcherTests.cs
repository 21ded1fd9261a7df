using FsCheck;
using FsCheck.Fluent;

namespace Aperture.Memory.Tests;

public class DispatcherTests
{
    private static Gen<(int Offset, int Size, bool Writes, ulong Value)[]> Accesses { get; } =
        (from offset in Gen.Choose(-8, Patchwork.Length + 1)
         from size in Gen.Choose(1, 8)
         from writes in Gen.Choose(0, 1)
         from high in Gen.Choose(int.MinValue, int.MaxValue)
         from low in Gen.Choose(int.MinValue, int.MaxValue)
         select (offset, size, writes == 1, (ulong)(uint)high << 32 | (uint)low)).ArrayOf();

    [Fact]
    public void Any_access_reads_and_writes_what_one_access_per_byte_would()
    {
        Prop.ForAll(Accesses.ToArbitrary(), accesses =>
        {
            using Patchwork map = new();
            LookupCache cache = default;
            ulong unclaimed = 0;
            foreach ((int offset, int size, bool writes, ulong value) in accesses)
            {
                byte?[] before = map.Snapshot();
                byte?[] expected = [.. before];
                AccessResult wanted = AccessResult.Ok;
                ulong read = 0;
                for (int i = 0; i < size; i++)
                {
                    int at = offset + i;
                    byte? byteThere = at is >= 0 and < Patchwork.Length ? before[at] : null;
                    read |= (ulong)(byteThere ?? 0xFF) << (8 * i);
                    wanted = byteThere is null ? AccessResult.Unclaimed : wanted;
                    if (writes && byteThere is not null)
                    {
                        Write(map, expected, at, (byte)(value >> (8 * i)));
                    }
                }

                unclaimed += wanted == AccessResult.Unclaimed ? 1UL : 0;
                ulong got = read;
                AccessResult result = writes
                    ? map.Dispatcher.Write(ref cache, Patchwork.At(0) + (ulong)(long)offset, size, value)
                    : map.Dispatcher.Read(ref cache, Patchwork.At(0) + (ulong)(long)offset, size, out got);
                Assert.Equal(wanted, result);
                Assert.Equal(read, got);
                Assert.Equal(expected, map.Snapshot());
                Assert.Null(map.Violation);
                Assert.Equal(unclaimed, map.Unclaimed.Total);
            }
        }).Holds();
    }

    [Fact]
    public void A_naturally_aligned_access_inside_one_region_reaches_the_handler_whole_and_is_counted_once()
    {
        ByteDevice device = new(16);
        Region region = Region.Trapped("device", 16, device);
        using AddressSpace space = Space(region, 0x1000);
        Dispatcher dispatcher = new(space, new UnclaimedLog());
        LookupCache cache = default;
        foreach (int size in (int[])[1, 2, 4, 8])
        {
            dispatcher.Write(ref cache, new GuestAddress(0x1008), size, 0x1122334455667788);
            dispatcher.Read(ref cache, new GuestAddress(0x1008), size, out ulong value);
            Assert.Equal(0x1122334455667788UL & AccessWidth.AllOnes(size), value);
        }

        Assert.Equal(8, device.Accesses);
        Assert.Equal(4UL, region.Reads);
        Assert.Equal(4UL, region.Writes);
    }

    [Theory]
    [InlineData(0x1000UL, 3, 2)] // 2 + 1
    [InlineData(0x1001UL, 4, 3)] // 1 + 2 + 1
    [InlineData(0x1001UL, 7, 3)] // 1 + 2 + 4
    [InlineData(0x1000UL, 6, 2)] // 4 + 2
    [InlineData(0x1004UL, 8, 2)] // 4 + 4
    public void An_odd_access_is_split_into_the_fewest_naturally_aligned_ones(ulong address, int size, int pieces)
    {
        ByteDevice device = new(16);
        Region region = Region.Trapped("device", 16, device);
        using AddressSpace space = Space(region, 0x1000);
        Dispatcher dispatcher = new(space, new UnclaimedLog());
        LookupCache cache = default;
        dispatcher.Read(ref cache, new GuestAddress(address), size, out _);
        Assert.Equal(pieces, device.Accesses);
        Assert.Null(device.Violation);
    }

    [Fact]
    public void What_a_handler_does_not_claim_reads_as_ones_and_is_counted_unclaimed()
    {
        using AddressSpace space = Space(Region.Trapped("device", 16, new ByteDevice(16) { Refuses = true }), 0x1000);
        UnclaimedLog log = new();
        Dispatcher dispatcher = new(space, log);
        LookupCache cache = default;
        Assert.Equal(AccessResult.Unclaimed, dispatcher.Read(ref cache, new GuestAddress(0x1004), 4, out ulong value));
        Assert.Equal(0xFFFF_FFFFUL, value);
        Assert.Equal(AccessResult.Unclaimed, dispatcher.Write(ref cache, new GuestAddress(0x1004), 4, 0));
        UnclaimedAccess entry = Assert.Single(log.Listed());
        Assert.Equal(new UnclaimedAccess(new GuestAddress(0x1004), 4, false, 2), entry);
    }

    [Fact]
    public void A_hole_hides_what_lies_below_and_is_unclaimed()
    {
        using AddressSpace space = Space(Region.Trapped("device", 0x1000, new ByteDevice(0x1000)), 0x1000);
        using (AddressChange change = space.Begin())
        {
            change.Place(Region.Hole("hole", 0x10), new GuestAddress(0x1100), 1);
            change.Commit();
        }

        Dispatcher dispatcher = new(space, new UnclaimedLog());
        LookupCache cache = default;
        Assert.Equal(AccessResult.Unclaimed, dispatcher.Read(ref cache, new GuestAddress(0x1104), 4, out ulong value));
        Assert.Equal(0xFFFF_FFFFUL, value);
        Assert.Equal(AccessResult.Ok, dispatcher.Read(ref cache, new GuestAddress(0x1110), 4, out _));
    }

    [Fact]
    public void An_access_that_would_pass_the_end_of_the_address_space_is_unclaimed_and_does_not_wrap()
    {
        using AddressSpace space = Space(Region.Trapped("zero", 16, new ByteDevice(16)), 0);
        Dispatcher dispatcher = new(space, new UnclaimedLog());
        LookupCache cache = default;
        Assert.Equal(AccessResult.Unclaimed, dispatcher.Read(ref cache, new GuestAddress(ulong.MaxValue), 4, out ulong value));
        Assert.Equal(0xFFFF_FFFFUL, value);
        Assert.Equal(AccessResult.Unclaimed, dispatcher.Write(ref cache, new GuestAddress(ulong.MaxValue - 1), 4, 0));
        Assert.Equal(0UL, space.Placements[0].Region.Reads + space.Placements[0].Region.Writes);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(9)]
    [InlineData(-1)]
    public void A_size_that_no_bus_has_is_a_fault_of_the_caller(int size)
    {
        using AddressSpace space = AddressSpace.ForMemory();
        Dispatcher dispatcher = new(space, new UnclaimedLog());
        Assert.Throws<ArgumentOutOfRangeException>(() =>
        {
            LookupCache cache = default;
            dispatcher.Read(ref cache, GuestAddress.Zero, size, out _);
        });
    }

    [Fact]
    public void A_hundred_thousand_dispatches_allocate_nothing()
    {
        using Patchwork map = new();
        GuestMemory memory = new(map.Space);
        DmaPort dma = new(map.Space, map.Dispatcher, region => region == map.Own);
        byte[] buffer = new byte[Patchwork.Length];
        Allocations.None(() => Run(map, memory, dma, buffer, 2000), times: 50);
    }

    private static void Run(Patchwork map, GuestMemory memory, DmaPort dma, byte[] buffer, int count)
    {
        LookupCache cache = default;
        for (int i = 0; i < count; i++)
        {
            GuestAddress address = Patchwork.At(i * 7 % Patchwork.Length);
            int size = (i & 7) + 1;
            map.Dispatcher.Read(ref cache, address, size, out ulong value);
            map.Dispatcher.Write(ref cache, address, size, value);
            memory.TryRead(address, out uint word);
            memory.TryWrite(address, word);
            dma.Read(address, buffer);
        }
    }

    private static void Write(Patchwork map, byte?[] expected, int at, byte value)
    {
        if (!map.IsReadOnly(at))
        {
            expected[at] = value;
        }
        else if (map.Owner(at)!.Handler is not null)
        {
            expected[Patchwork.Length + at - 40] = value; // the watcher's own bytes follow the map's
        }
    }

    private static AddressSpace Space(Region region, ulong address)
    {
        AddressSpace space = AddressSpace.ForMemory();
        using AddressChange change = space.Begin();
        change.Place(region, new GuestAddress(address), 0);
        change.Commit();
        return space;
    }
}
