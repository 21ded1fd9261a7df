using System.Buffers.Binary;
using System.Text;
using Aperture.Devices.FwCfg;
using Aperture.Firmware.FwCfg;
using Aperture.TestKit.Devices;

namespace Aperture.Devices.Tests.FwCfg;

public class FwCfgTests
{
    private const ulong Descriptor = 0x100;
    private const uint Read = 2;
    private const uint Skip = 4;
    private const uint Select = 8;
    private const uint Write = 16;

    private readonly FakeDma _memory = new(1 << 16);
    private readonly FwCfgItems _items = new();

    /// <summary>An item of any length whose byte at an offset can be worked out; counts and can fail.</summary>
    private sealed class Pattern(ulong length) : IFirmwareItem
    {
        public ulong Length => length;

        public int Selected { get; private set; }

        public int Resets { get; private set; }

        public ulong BytesRead { get; private set; }

        public bool Broken { get; set; }

        public static byte At(ulong offset) => (byte)(offset * 31 + 7);

        void IFirmwareItem.Select() => Selected++;

        void IFirmwareItem.Reset() => Resets++;

        bool IFirmwareItem.Read(ulong offset, Span<byte> destination)
        {
            Assert.True(offset + (ulong)destination.Length <= length);
            BytesRead += (ulong)destination.Length;
            for (int i = 0; i < destination.Length; i++)
            {
                destination[i] = At(offset + (ulong)i);
            }

            return !Broken;
        }
    }

    private static byte[] Expected(int count, ulong from = 0) => [.. Enumerable.Range(0, count).Select(i => Pattern.At(from + (ulong)i))];

    private static byte[] Take(FwCfgDevice device, ushort key, int count)
    {
        Assert.Equal(AccessResult.Ok, device.Write(0, 2, key));
        return [.. Enumerable.Range(0, count).Select(_ => device.In(1))];
    }

    private uint Dma(FwCfgDevice device, uint control, uint length, ulong target, ulong at = Descriptor)
    {
        Span<byte> request = _memory.Memory.AsSpan((int)at);
        BinaryPrimitives.WriteUInt32BigEndian(request, control);
        BinaryPrimitives.WriteUInt32BigEndian(request[4..], length);
        BinaryPrimitives.WriteUInt64BigEndian(request[8..], target);
        device.Out32(8, BinaryPrimitives.ReverseEndianness((uint)at));
        return BinaryPrimitives.ReadUInt32BigEndian(request);
    }

    private static ushort KeyOf(FwCfgDevice device, string name)
    {
        byte[] head = Take(device, 0x19, 4);
        int count = BinaryPrimitives.ReadInt32BigEndian(head);
        byte[] directory = Take(device, 0x19, 4 + (64 * count));
        for (int i = 0; i < count; i++)
        {
            ReadOnlySpan<byte> entry = directory.AsSpan(4 + (64 * i), 64);
            if (Encoding.ASCII.GetString(entry[8..]).TrimEnd('\0') == name)
            {
                return BinaryPrimitives.ReadUInt16BigEndian(entry[4..]);
            }
        }

        Assert.Fail($"no file {name}");
        return 0;
    }

    [Fact]
    public void The_signature_the_features_and_the_DMA_register_say_that_the_device_is_there()
    {
        FwCfgDevice device = new(_items, _memory);
        Assert.Equal("QEMU"u8, Take(device, 0, 4));
        Assert.Equal([3, 0, 0, 0], Take(device, 1, 4));
        Assert.Equal("QEMU CFG"u8, [.. Enumerable.Range(4, 8).Select(port => device.In((ulong)port))]);
        Assert.Equal(0x554D4551u, device.In32(4));
        Assert.Equal(0x47464320u, device.In32(8));
    }

    [Fact]
    public void The_directory_lists_files_by_name_with_big_endian_sizes_and_rising_keys()
    {
        _items.SetFile("opt/b", new FwCfgBytes(new byte[3]));
        _items.SetFile("etc/z", new FwCfgBytes(new byte[0x12345]));
        _items.SetFile("etc/A", new FwCfgBytes(new byte[1]));
        FwCfgDevice device = new(_items, _memory);
        byte[] directory = Take(device, 0x19, 4 + (3 * 64));
        Assert.Equal([0, 0, 0, 3], directory[..4]);
        Assert.Equal([0, 0, 0, 1, 0, 0x20, 0, 0, .. "etc/A\0"u8], directory[4..18]);
        Assert.Equal([0, 1, 0x23, 0x45, 0, 0x21, 0, 0, .. "etc/z\0"u8], directory[68..82]);
        Assert.Equal([0, 0, 0, 3, 0, 0x22, 0, 0, .. "opt/b\0"u8], directory[132..146]);
    }

    [Fact]
    public void Selecting_starts_an_item_over_and_behind_its_end_or_without_an_item_every_byte_is_0()
    {
        Pattern item = new(5);
        _items.Set(0x8003, item);
        FwCfgDevice device = new(_items, _memory);
        Assert.Equal([.. Expected(5), 0, 0], Take(device, 0x8003, 7));
        Assert.Equal(Expected(2), Take(device, 0x8003, 2));

        // The write channel's bit picks the same item.
        Assert.Equal(Expected(5), Take(device, 0xC003, 5));
        Assert.Equal(3, item.Selected);
        Assert.Equal([0, 0], Take(device, 0x1234, 2));
    }

    [Fact]
    public void DMA_selects_reads_and_skips_and_clears_the_control_word()
    {
        _items.SetFile("f", new Pattern(10_000));
        FwCfgDevice device = new(_items, _memory);
        uint key = (uint)KeyOf(device, "f") << 16;
        Assert.Equal(0u, Dma(device, key | Select | Read, 5000, 0x1000));
        Assert.Equal(Expected(5000), _memory.Memory[0x1000..(0x1000 + 5000)]);
        Assert.Equal(0u, Dma(device, Skip, 100, 0));
        Assert.Equal(0u, Dma(device, Read, 50, 0x4000));
        Assert.Equal(Expected(50, 5100), _memory.Memory[0x4000..(0x4000 + 50)]);

        // The data port goes on from there.
        Assert.Equal(Pattern.At(5150), device.In(1));
    }

    [Fact]
    public void A_DMA_read_past_the_end_fills_with_zeros_and_a_huge_one_is_refused_after_a_bounded_fill()
    {
        FwCfgDevice device = new(_items, _memory);
        _memory.Memory.AsSpan(0x1000, 16).Fill(0xEE);
        Assert.Equal(0u, Dma(device, Select | Read, 10, 0x1000));
        Assert.Equal([.. "QEMU"u8, 0, 0, 0, 0, 0, 0, 0xEE], _memory.Memory[0x1000..0x100B]);

        int before = _memory.Accesses;
        FakeDma large = new(4 << 20);
        FwCfgDevice other = new(_items, large);
        Span<byte> request = large.Memory.AsSpan(0x100);
        BinaryPrimitives.WriteUInt32BigEndian(request, Select | Read);
        request[4..8].Fill(0xFF);
        BinaryPrimitives.WriteUInt64BigEndian(request[8..], 0x1000);
        other.Out32(8, 0x0001_0000);
        Assert.Equal(1u, BinaryPrimitives.ReadUInt32BigEndian(request));
        Assert.InRange(large.Accesses, 1, 300);
        Assert.Equal(before, _memory.Accesses);
    }

    [Fact]
    public void A_skip_of_4_GiB_stops_at_the_end_and_reads_nothing()
    {
        Pattern item = new(uint.MaxValue);
        _items.SetFile("f", item);
        FwCfgDevice device = new(_items, _memory);
        uint key = (uint)KeyOf(device, "f") << 16;
        Assert.Equal(0u, Dma(device, key | Select | Skip, uint.MaxValue - 1, 0));
        Assert.Equal(Pattern.At(uint.MaxValue - 1), device.In(1));
        Assert.Equal(0u, Dma(device, Skip, uint.MaxValue, 0));
        Assert.Equal(0, device.In(1));
        Assert.Equal(1UL, item.BytesRead);
    }

    [Fact]
    public void The_guest_overwrites_only_writable_items_and_only_as_a_whole_inside_them()
    {
        List<byte[]> seen = [];
        _items.SetFile("etc/ramfb", new FwCfgBuffer(28, content => seen.Add(content.ToArray())));
        _items.SetFile("fixed", new FwCfgBytes(new byte[28]));
        FwCfgDevice device = new(_items, _memory);
        uint writable = (uint)KeyOf(device, "etc/ramfb") << 16;
        uint fixedKey = (uint)KeyOf(device, "fixed") << 16;
        _memory.Memory.AsSpan(0x1000, 29).Fill(0x5A);
        Assert.Equal(1u, Dma(device, writable | Select | Write, 29, 0x1000));
        Assert.Equal(1u, Dma(device, fixedKey | Select | Write, 28, 0x1000));
        Assert.Equal(1u, Dma(device, 0x7777_0000 | Select | Write, 1, 0x1000));
        Assert.Empty(seen);
        Assert.Equal(0u, Dma(device, writable | Select | Skip, 20, 0));
        Assert.Equal(0u, Dma(device, Write, 8, 0x1000));
        Assert.Equal([.. new byte[20], .. Enumerable.Repeat((byte)0x5A, 8)], Assert.Single(seen));
        Assert.Equal(new byte[28], Take(device, (ushort)(fixedKey >> 16), 28));

        device.Reset();
        Assert.Equal(new byte[28], Take(device, (ushort)(writable >> 16), 28));
    }

    [Fact]
    public void A_request_outside_memory_or_with_a_target_outside_it_sets_the_error_bit_or_does_nothing()
    {
        FwCfgDevice device = new(_items, _memory);
        Assert.Equal(1u, Dma(device, Select | Read, 4, 0xFFFF_FFFF_FFFF_FFFE));
        Assert.Equal(1u, Dma(device, Select | Read, 4, 0x10_0000));
        device.Out32(4, 0xFFFF_FFFF);
        device.Out32(8, 0xF8FF_FFFF);
        Assert.Equal(AccessResult.Ok, device.Write(4, 8, ulong.MaxValue));
    }

    [Fact]
    public void The_high_half_of_the_DMA_address_counts_once()
    {
        FwCfgDevice device = new(_items, _memory);
        device.Out32(4, 0x0100_0000);
        uint untouched = Dma(device, Select | Read, 4, 0x1000);
        Assert.Equal(Select | Read, untouched);
        Assert.Equal(0u, Dma(device, Select | Read, 4, 0x1000));
        Assert.Equal("QEMU"u8, _memory.Memory.AsSpan(0x1000, 4));
    }

    [Fact]
    public void An_item_the_host_cannot_read_gives_an_error_by_DMA_and_zeros_by_the_port()
    {
        _items.SetFile("f", new Pattern(100) { Broken = true });
        FwCfgDevice device = new(_items, _memory);
        uint key = (uint)KeyOf(device, "f") << 16;
        Assert.Equal(1u, Dma(device, key | Select | Read, 100, 0x1000));
        Assert.Equal([0, 0], Take(device, (ushort)(key >> 16), 2));
    }

    [Fact]
    public void Names_keys_and_sizes_the_guest_could_not_be_told_are_refused()
    {
        FwCfgBytes item = new(new byte[1]);
        _items.SetFile(new string('n', 55), item);
        Assert.Throws<ApertureException>(() => _items.SetFile(new string('n', 56), item));
        Assert.Throws<ApertureException>(() => _items.SetFile("", item));
        Assert.Throws<ApertureException>(() => _items.SetFile("ä", item));
        Assert.Throws<ApertureException>(() => _items.SetFile("big", new Pattern(1UL << 32)));
        Assert.Throws<ApertureException>(() => _items.Set(0, item));
        Assert.Throws<ApertureException>(() => _items.Set(0x19, item));
        Assert.Throws<ApertureException>(() => _items.Set(0x20, item));
        Assert.Throws<ApertureException>(() => _items.Set(0x4002, item));
        Assert.Throws<ApertureException>(() => new FwCfgBuffer(FwCfgBuffer.Largest + 1));
        _items.Set(0x1F, item);
        _items.Set(0x8020, item);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void No_access_makes_it_throw_and_none_takes_bytes_from_outside_an_item(int seed)
    {
        Random random = new(seed);
        _items.SetFile("a", new Pattern(3000));
        _items.SetFile("b", new FwCfgBuffer(64));
        _items.SetFile("c", new Pattern(uint.MaxValue));
        FwCfgDevice device = new(_items, _memory);
        ushort[] keys = [0, 1, 0x19, 0x20, 0x21, 0x22, 0x4021, 0x8000, 0xFFFF];
        for (int i = 0; i < 50_000; i++)
        {
            int size = new[] { 1, 2, 4, 8, 0, 3, -1 }[random.Next(7)];
            ulong offset = random.Next(8) == 0 ? (ulong)random.NextInt64() : (ulong)random.Next(14);
            switch (random.Next(4))
            {
                case 0:
                    if (device.Read(offset, size, out ulong value) == AccessResult.Ok)
                    {
                        Assert.True(value <= AccessWidth.AllOnes(size));
                    }

                    break;
                case 1:
                    device.Write(offset, size, (ulong)random.NextInt64());
                    break;
                case 2:
                    device.Write(0, 2, keys[random.Next(keys.Length)]);
                    break;
                default:
                    uint length = random.Next(3) == 0 ? (uint)random.NextInt64(1L << 32) : (uint)random.Next(5000);
                    ulong target = random.Next(3) == 0 ? (ulong)random.NextInt64() * 2 : 0x1000 + (ulong)random.Next(0xC000);
                    Dma(device, (uint)random.Next(32) | ((uint)keys[random.Next(keys.Length)] << 16), length, target);
                    break;
            }
        }
    }

    [Fact]
    public void Accesses_and_DMA_allocate_nothing()
    {
        _items.SetFile("f", new FwCfgBytes(new byte[20_000]));
        FwCfgDevice device = new(_items, _memory);
        byte[] request = [0, 0x20, 0, (byte)(Select | Read), 0, 0, 0x4E, 0x20, 0, 0, 0, 0, 0, 0, 0x10, 0];
        void Round()
        {
            device.Write(0, 2, 0x20);
            device.Read(1, 1, out _);
            request.CopyTo(_memory.Memory, (int)Descriptor);
            device.Write(8, 4, 0x0001_0000);
        }

        Allocations.None(Round, times: 1000);
        Assert.Equal(0, _memory.Memory[(int)Descriptor + 3]);
    }
}
