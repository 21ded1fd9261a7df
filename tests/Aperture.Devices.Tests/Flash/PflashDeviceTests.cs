using Aperture.Devices.Flash;
using Aperture.Memory;
using Aperture.TestKit.Devices;

namespace Aperture.Devices.Tests.Flash;

public sealed class PflashDeviceTests : IDisposable
{
    private const int Size = 4 * PflashDevice.BlockSize;

    private readonly RamBlock _memory = RamBlock.Create("flash", Size);
    private readonly RecordingStore _store = new();

    public void Dispose() => _memory.Dispose();

    private sealed class RecordingStore : IFlashStore
    {
        public byte[] Content { get; } = new byte[Size];

        public int Changes { get; private set; }

        public void Changed(ulong offset, ReadOnlySpan<byte> bytes)
        {
            bytes.CopyTo(Content.AsSpan((int)offset));
            Changes++;
        }
    }

    private PflashDevice Make(bool readOnly = false)
    {
        Random random = new(7);
        byte[] start = new byte[Size];
        random.NextBytes(start);
        _memory.Write(0, start);
        start.CopyTo(_store.Content, 0);
        return new PflashDevice(_memory, _store, readOnly);
    }

    private byte[] Content() => _memory.AsSpan(0, Size).ToArray();

    private static void Send(PflashDevice flash, int offset, params byte[] cycles)
    {
        foreach (byte cycle in cycles)
        {
            flash.Out((ulong)offset, cycle);
        }
    }

    [Fact]
    public void A_driver_that_probes_as_OVMF_does_finds_flash_and_leaves_it_as_it_was()
    {
        PflashDevice flash = Make();
        byte[] before = Content();
        ulong probe = (ulong)before.AsSpan().IndexOfAnyExcept((byte)0x50, (byte)0x70, (byte)0);
        byte original = flash.In(probe);
        flash.Out(probe, 0x50);
        Assert.Equal(original, flash.In(probe));
        flash.Out(probe, 0x70);
        Assert.Equal(0, flash.In(probe));
        flash.Out(probe, 0xFF);
        Assert.Equal(original, flash.In(probe));
        Assert.Equal(before, Content());
        Assert.Equal(0, _store.Changes);
    }

    [Fact]
    public void Program_and_erase_change_the_content_and_the_store_alike()
    {
        PflashDevice flash = Make();
        Send(flash, 0x1FFF, 0x10, 0xA5);
        Assert.Equal(0x80, flash.In(0));
        Send(flash, 0x1FFF, 0xFF);
        Assert.Equal(0xA5, flash.In(0x1FFF));
        Send(flash, 0x2abc, 0x20, 0xD0, 0xFF);
        Assert.All(Content()[0x2000..0x3000], static value => Assert.Equal(0xFF, value));
        Assert.Contains(Content()[0x1000..0x2000], static value => value != 0xFF);
        Assert.Contains(Content()[0x3000..], static value => value != 0xFF);
        Assert.Equal(Content(), _store.Content);
    }

    [Fact]
    public void An_erase_without_its_confirmation_changes_nothing_and_says_so()
    {
        PflashDevice flash = Make();
        byte[] before = Content();
        Send(flash, 0, 0x20, 0x55);
        Assert.Equal(0xB0, flash.In(0));
        Send(flash, 0, 0x20, 0xFF);
        Assert.True(flash.IsArrayMode);
        Assert.Equal(before, Content());
    }

    [Fact]
    public void The_code_bank_refuses_program_and_erase_with_their_status_bits()
    {
        PflashDevice flash = Make(readOnly: true);
        byte[] before = Content();
        Send(flash, 0, 0x40, 0);
        Assert.Equal(0x90, flash.In(0));
        Send(flash, 0, 0x50, 0x20, 0xD0);
        Assert.Equal(0xA0, flash.In(0));
        Send(flash, 0, 0x50, 0xE8, 0, 1, 0xD0);
        Assert.Equal(0x90, flash.In(0));
        Assert.Equal(before, Content());
        Assert.Equal(0, _store.Changes);
    }

    [Fact]
    public void The_query_names_the_command_set_the_block_size_and_the_number_of_blocks()
    {
        PflashDevice flash = Make();
        Send(flash, 0x55, 0x98);
        byte[] query = [.. Enumerable.Range(0, 0x60).Select(offset => flash.In((ulong)offset))];
        Assert.Equal("QRY\x01\0"u8, query.AsSpan(0x10, 5));
        Assert.Equal(14, query[0x27]);
        Assert.Equal(1, query[0x2C]);
        Assert.Equal(Size / 4096, 1 + query[0x2D] + (query[0x2E] << 8));
        Assert.Equal(4096, (query[0x2F] << 8) + (query[0x30] << 16));
        Assert.Equal("PRI"u8, query.AsSpan(query[0x15], 3));
        Send(flash, 0, 0x90);
        Assert.Equal(0, flash.In(2));
    }

    [Fact]
    public void The_array_mode_is_left_with_the_first_command_and_announced_only_when_it_changes()
    {
        PflashDevice flash = Make();
        List<bool> modes = [];
        flash.ModeChanged += bank => modes.Add(bank.IsArrayMode);
        Send(flash, 0, 0xFF, 0x50, 0x00);
        Assert.Empty(modes);
        Send(flash, 0, 0x10, 1, 0x10, 2, 0x70, 0xFF, 0xFF);
        Assert.Equal([false, true], modes);
        Send(flash, 0, 0x10);
        flash.Reset();
        Assert.Equal([false, true, false, true], modes);
        Send(flash, 0, 0x70);
        Assert.Equal(0x80, flash.In(0));
    }

    [Fact]
    public void A_buffered_program_outside_its_range_or_past_the_end_changes_nothing()
    {
        PflashDevice flash = Make();
        byte[] before = Content();
        flash.Out(0, 0xE8);
        flash.Out(0, 3);
        flash.Out(0x100, 1);
        flash.Out(0x200, 2);
        flash.Out(0x101, 3);
        flash.Out(0x102, 4);
        flash.Out(0, 0xD0);
        Assert.Equal(0xB0, flash.In(0));
        Send(flash, 0, 0x50, 0xE8, 7);
        for (int i = 0; i < 8; i++)
        {
            flash.Out(Size - 1, (byte)i);
        }

        Send(flash, 0, 0xD0);
        Assert.Equal(0xB0, flash.In(0));
        Assert.Equal(before, Content());
    }

    [Theory]
    [InlineData(1, false)]
    [InlineData(2, false)]
    [InlineData(3, true)]
    public void Any_sequence_of_commands_does_what_the_data_sheet_says(int seed, bool readOnly)
    {
        Random random = new(seed);
        PflashDevice flash = Make(readOnly);
        PflashModel model = new(Content(), readOnly);
        for (int i = 0; i < 5000; i++)
        {
            int offset = random.Next(Size);
            switch (random.Next(8))
            {
                case 0:
                    byte value = (byte)random.Next(256);
                    Send(flash, offset, random.Next(2) == 0 ? (byte)0x10 : (byte)0x40, value);
                    model.Program(offset, [value]);
                    break;
                case 1:
                    byte[] wide = new byte[1 << random.Next(4)];
                    random.NextBytes(wide);
                    flash.Out((ulong)offset, 0x10);
                    flash.Write((ulong)offset, wide.Length, wide.Select(static (b, at) => (ulong)b << (8 * at)).Aggregate(0UL, static (a, b) => a | b));
                    model.Program(offset, wide);
                    break;
                case 2:
                    Send(flash, offset, 0x20, 0xD0);
                    model.Erase(offset);
                    break;
                case 3:
                    byte wrong = (byte)random.Next(0xD0);
                    Send(flash, offset, 0x20, wrong);
                    model.Refuse();
                    break;
                case 4:
                    byte[] buffer = new byte[random.Next(1, 257)];
                    random.NextBytes(buffer);
                    offset = Math.Min(offset, Size - buffer.Length);
                    Send(flash, offset, 0xE8, (byte)(buffer.Length - 1));
                    for (int at = 0; at < buffer.Length; at++)
                    {
                        flash.Out((ulong)(offset + at), buffer[at]);
                    }

                    Send(flash, offset, 0xD0);
                    model.Program(offset, buffer);
                    break;
                case 5:
                    Send(flash, offset, 0x50);
                    model.Clear();
                    break;
                case 6:
                    Send(flash, offset, 0x70);
                    Assert.Equal(model.Status * 0x0101_0101u, flash.In32((ulong)(offset & ~3)));
                    break;
                default:
                    Send(flash, offset, 0xFF);
                    Assert.True(flash.IsArrayMode);
                    Assert.Equal(model.Content[offset], flash.In((ulong)offset));
                    break;
            }
        }

        Assert.Equal(model.Content, Content());
        Assert.Equal(model.Content, _store.Content);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void No_access_makes_it_throw_and_the_store_always_has_what_the_bank_has(int seed)
    {
        Random random = new(seed);
        PflashDevice flash = Make();
        byte[] commands = [0x10, 0x20, 0x40, 0x50, 0x60, 0x70, 0x90, 0x98, 0xD0, 0xE8, 0xFF, 0, 1];
        for (int i = 0; i < 300_000; i++)
        {
            int size = new[] { 1, 1, 1, 2, 4, 8, 0, 3, -1, 16 }[random.Next(10)];
            ulong offset = random.Next(8) switch
            {
                0 => (ulong)random.NextInt64() * 2,
                1 => Size - (ulong)random.Next(1, 9),
                _ => (ulong)random.Next(Size),
            };
            bool starts = offset < Size && size is 1 or 2 or 4 or 8;
            ulong value = random.Next(2) == 0 ? commands[random.Next(commands.Length)] : (ulong)random.NextInt64();
            AccessResult result = random.Next(3) == 0 ? flash.Read(offset, size, out value) : flash.Write(offset, size, value);
            Assert.Equal(offset < Size && size is 1 or 2 or 4 or 8 ? AccessResult.Ok : AccessResult.Unclaimed, starts ? result : AccessResult.Unclaimed);
            if (random.Next(10_000) == 0)
            {
                flash.Reset();
            }
        }

        Assert.Equal(Content(), _store.Content);
    }

    [Fact]
    public void A_bank_that_is_not_whole_blocks_is_refused()
    {
        using RamBlock odd = RamBlock.Create("odd", 4096 + 512);
        Assert.Contains("multiple", Assert.Throws<ApertureException>(() => new PflashDevice(odd)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Program_and_erase_allocate_nothing()
    {
        PflashDevice flash = Make();
        void Round()
        {
            flash.Write(0x10, 1, 0x10);
            flash.Write(0x10, 1, 5);
            flash.Write(0x10, 1, 0x20);
            flash.Write(0x10, 1, 0xD0);
            flash.Read(0x10, 4, out _);
            flash.Write(0x10, 1, 0xFF);
        }

        Allocations.None(Round, times: 1000);
    }
}
