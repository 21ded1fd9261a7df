using FsCheck;
using FsCheck.Fluent;

namespace Aperture.Memory.Tests;

public class DmaPortTests
{
    private static Gen<(int Offset, int Size)> Spans { get; } = Gen.Choose(-4, Patchwork.Length).Zip(Gen.Choose(0, Patchwork.Length));

    [Fact]
    public void DMA_reads_RAM_and_other_devices_but_not_its_own_registers()
    {
        Prop.ForAll(Spans.ToArbitrary(), span =>
        {
            using Patchwork map = new();
            byte[] got = new byte[span.Size];
            bool whole = Port(map).Read(At(span.Offset), got);
            for (int i = 0; i < span.Size; i++)
            {
                Assert.Equal(IsReachable(map, span.Offset + i) ? map.Peek(span.Offset + i) : 0xFF, got[i]);
            }

            Assert.Equal(Enumerable.Range(span.Offset, span.Size).All(at => IsReachable(map, at)), whole);
            Assert.Equal(0UL, map.Own.Reads);
            Assert.Null(map.Violation);
        }).Holds();
    }

    [Fact]
    public void DMA_writes_RAM_and_other_devices_but_not_its_own_registers_nor_ROM()
    {
        Prop.ForAll(Spans.ToArbitrary(), span =>
        {
            using Patchwork map = new();
            byte?[] expected = map.Snapshot();
            byte[] data = new byte[span.Size];
            new Random(span.Offset).NextBytes(data);
            bool all = true;
            for (int i = 0; i < span.Size; i++)
            {
                int at = span.Offset + i;
                Region? owner = IsReachable(map, at) ? map.Owner(at) : null;
                bool lands = owner is not null && (!owner.IsReadOnly || owner.Handler is not null);
                all &= lands;
                if (lands)
                {
                    expected[owner!.IsReadOnly ? Patchwork.Length + at - 40 : at] = data[i];
                }
            }

            Assert.Equal(all, Port(map).Write(At(span.Offset), data));
            Assert.Equal(expected, map.Snapshot());
            Assert.Equal(0UL, map.Own.Writes);
        }).Holds();
    }

    [Fact]
    public void An_aligned_word_of_DMA_reaches_another_device_in_one_access()
    {
        ByteDevice device = new(16);
        using AddressSpace space = AddressSpace.ForMemory();
        using (AddressChange change = space.Begin())
        {
            change.Place(Region.Trapped("device", 16, device), new GuestAddress(0x1000), 0);
            change.Commit();
        }

        DmaPort port = new(space, new Dispatcher(space, new UnclaimedLog()), static _ => false);
        Assert.True(port.Write(new GuestAddress(0x1008), [1, 2, 3, 4, 5, 6, 7, 8]));
        Assert.True(port.Read(new GuestAddress(0x1004), new byte[4]));
        Assert.Equal(2, device.Accesses);
    }

    [Fact]
    public void With_bus_mastering_off_nothing_is_reached()
    {
        using Patchwork map = new();
        DmaPort port = Port(map);
        port.IsEnabled = false;
        byte?[] before = map.Snapshot();
        byte[] bytes = new byte[4];
        Assert.False(port.Read(Patchwork.At(16), bytes));
        Assert.All(bytes, b => Assert.Equal(0xFF, b));
        Assert.False(port.Write(Patchwork.At(16), new byte[4]));
        Assert.Equal(before, map.Snapshot());
        port.IsEnabled = true;
        Assert.True(port.Read(Patchwork.At(16), bytes));
    }

    [Fact]
    public void Two_devices_whose_DMA_is_aimed_at_each_other_come_to_an_end()
    {
        using AddressSpace space = AddressSpace.ForMemory();
        Dispatcher dispatcher = new(space, new UnclaimedLog());
        Reflector a = new(new GuestAddress(0x2000));
        Reflector b = new(new GuestAddress(0x1000));
        Region regionA = Region.Trapped("a", 0x10, a);
        Region regionB = Region.Trapped("b", 0x10, b);
        a.Port = new DmaPort(space, dispatcher, region => region == regionA);
        b.Port = new DmaPort(space, dispatcher, region => region == regionB);
        using (AddressChange change = space.Begin())
        {
            change.Place(regionA, new GuestAddress(0x1000), 0);
            change.Place(regionB, new GuestAddress(0x2000), 0);
            change.Commit();
        }

        LookupCache cache = default;
        for (int round = 1; round <= 2; round++)
        {
            Assert.Equal(AccessResult.Ok, dispatcher.Write(ref cache, new GuestAddress(0x1000), 4, 1));
            Assert.Equal(5 * round, a.Writes + b.Writes); // the CPU's own and four nested ones, every time
        }
    }

    private static DmaPort Port(Patchwork map) => new(map.Space, map.Dispatcher, region => region == map.Own);

    private static GuestAddress At(int offset) => Patchwork.At(0) + (ulong)(long)offset;

    private static bool IsReachable(Patchwork map, int at) =>
        at is >= 0 and < Patchwork.Length && map.Owner(at) is { } owner && owner != map.Own;

    /// <summary>Answers each write with a DMA write to the other device.</summary>
    private sealed class Reflector(GuestAddress target) : IAccessHandler
    {
        public DmaPort? Port { get; set; }

        public int Writes { get; private set; }

        public AccessResult Read(ulong offset, int size, out ulong value)
        {
            value = 0;
            return AccessResult.Ok;
        }

        public AccessResult Write(ulong offset, int size, ulong value)
        {
            Writes++;
            Port!.Write(target, [1, 0, 0, 0]);
            return AccessResult.Ok;
        }
    }
}
