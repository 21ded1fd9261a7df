using System.Buffers.Binary;
using FsCheck;
using FsCheck.Fluent;

namespace Aperture.Memory.Tests;

public class GuestMemoryTests
{
    private static Gen<(int Offset, int Size)> Spans { get; } = Gen.Choose(-4, Patchwork.Length).Zip(Gen.Choose(0, Patchwork.Length));

    [Fact]
    public void Reading_gives_the_bytes_of_RAM_in_every_range_and_ones_elsewhere()
    {
        Prop.ForAll(Spans.ToArbitrary(), span =>
        {
            using Patchwork map = new();
            GuestMemory memory = new(map.Space);
            byte[] got = new byte[span.Size];
            bool whole = memory.Read(At(span.Offset), got);
            for (int i = 0; i < span.Size; i++)
            {
                Assert.Equal(IsRam(map, span.Offset + i) ? map.Peek(span.Offset + i) : 0xFF, got[i]);
            }

            Assert.Equal(Enumerable.Range(span.Offset, span.Size).All(at => IsRam(map, at)), whole);
        }).Holds();
    }

    [Fact]
    public void Writing_changes_writable_RAM_in_every_range_and_nothing_else()
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
                bool writable = IsRam(map, at) && !map.IsReadOnly(at);
                all &= writable;
                if (writable)
                {
                    expected[at] = data[i];
                }
            }

            Assert.Equal(all, new GuestMemory(map.Space).Write(At(span.Offset), data));
            Assert.Equal(expected, map.Snapshot());
        }).Holds();
    }

    [Fact]
    public void Typed_access_agrees_with_bytes_at_every_address()
    {
        using Patchwork map = new();
        GuestMemory memory = new(map.Space);
        for (int at = -4; at <= Patchwork.Length; at++)
        {
            CheckTyped(memory, map, at, 1, static (m, a) => m.TryRead(a, out byte v) ? v : Missing(v), static (m, a) => m.TryWrite(a, (byte)0x11));
            CheckTyped(memory, map, at, 2, static (m, a) => m.TryRead(a, out ushort v) ? v : Missing(v), static (m, a) => m.TryWrite(a, (ushort)0x2211));
            CheckTyped(memory, map, at, 4, static (m, a) => m.TryRead(a, out uint v) ? v : Missing(v), static (m, a) => m.TryWrite(a, 0x44332211));
            CheckTyped(memory, map, at, 8, static (m, a) => m.TryRead(a, out ulong v) ? v : Missing(v), static (m, a) => m.TryWrite(a, 0x8877665544332211));
        }
    }

    [Fact]
    public void A_structure_is_read_across_the_seam_of_two_ranges()
    {
        using RamBlock block = RamBlock.Create("test", 0x2000);
        using AddressSpace space = AddressSpace.ForMemory();
        using (AddressChange change = space.Begin())
        {
            change.Place(Region.ForRam("second", block, 0, 0x1000), new GuestAddress(0x1000), 0);
            change.Place(Region.ForRam("first", block, 0x1000, 0x1000), GuestAddress.Zero, 0);
            change.Commit();
        }

        GuestMemory memory = new(space);
        Descriptor written = new(0x1122334455667788, 0x99AABBCC, 0xDDEE, 0xFF00);
        Assert.True(memory.TryWrite(new GuestAddress(0x0FFA), written));
        Assert.True(memory.TryRead(new GuestAddress(0x0FFA), out Descriptor read));
        Assert.Equal(written, read);
        Assert.Equal(0x88, block.AsSpan(0x1FFA, 1)[0]);
        Assert.Equal(0x22, block.AsSpan(0, 1)[0]);
    }

    [Fact]
    public void An_access_that_would_wrap_is_refused_whole()
    {
        using RamBlock block = RamBlock.Create("test", 0x1000);
        using AddressSpace space = AddressSpace.ForMemory();
        using (AddressChange change = space.Begin())
        {
            change.Place(Region.ForRam("ram", block, 0, 0x1000), GuestAddress.Zero, 0);
            change.Commit();
        }

        GuestMemory memory = new(space);
        byte[] bytes = new byte[8];
        Assert.False(memory.Read(new GuestAddress(ulong.MaxValue - 3), bytes));
        Assert.All(bytes, b => Assert.Equal(0xFF, b));
        Assert.False(memory.Write(new GuestAddress(ulong.MaxValue - 3), new byte[8]));
        Assert.False(memory.TryRead(new GuestAddress(ulong.MaxValue - 3), out ulong value));
        Assert.Equal(0UL, value);
        Assert.True(memory.Read(new GuestAddress(ulong.MaxValue), []));
    }

    // The expected outcome: null when some byte is not RAM, otherwise the little-endian value of the bytes.
    private static void CheckTyped(
        GuestMemory memory, Patchwork map, int at, int size, Func<GuestMemory, GuestAddress, ulong?> read, Func<GuestMemory, GuestAddress, bool> write)
    {
        bool ram = Enumerable.Range(at, size).All(i => IsRam(map, i));
        byte[] bytes = new byte[8];
        for (int i = 0; ram && i < size; i++)
        {
            bytes[i] = map.Peek(at + i)!.Value;
        }

        Assert.Equal(ram ? BinaryPrimitives.ReadUInt64LittleEndian(bytes) : null, read(memory, At(at)));
        bool writable = Enumerable.Range(at, size).All(i => IsRam(map, i) && !map.IsReadOnly(i));
        Assert.Equal(writable, write(memory, At(at)));
        for (int i = 0; i < size; i++)
        {
            if (IsRam(map, at + i) && !map.IsReadOnly(at + i))
            {
                Assert.Equal((byte)(0x11 * (i + 1)), map.Peek(at + i));
            }
        }
    }

    private static ulong? Missing(ulong value)
    {
        Assert.Equal(0UL, value);
        return null;
    }

    private static bool IsRam(Patchwork map, int at) => at is >= 0 and < Patchwork.Length && map.IsRam(at);

    private static GuestAddress At(int offset) => Patchwork.At(0) + (ulong)(long)offset;

    private readonly record struct Descriptor(ulong Address, uint Length, ushort Flags, ushort Next);
}
