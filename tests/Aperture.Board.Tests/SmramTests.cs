using Aperture.Board.Pc;
using Aperture.Board.Tests.Fakes;
using Aperture.Firmware.FwCfg;
using Aperture.Memory;
using FsCheck;
using FsCheck.Fluent;

namespace Aperture.Board.Tests;

/// <summary>What system management mode has for itself, and that nobody else gets at it.</summary>
public sealed class SmramTests
{
    private const ulong FourGiB = 1UL << 32;
    private const ulong Page = 4096;
    private const string Hub = "mch";
    private const string Lpc = "lpc";
    private const int Smram = 0x9D;
    private const byte Enable = 0x08;
    private const byte Lock = 0x10;
    private const byte Open = 0x40;

    /// <summary>Writes to the registers that decide: which, and what.</summary>
    private static Gen<(int Offset, int Size, uint Value)> Writes { get; } = Gen.OneOf(
        Gen.Choose(0, 0xFF).Select(n => (Smram, 1, (uint)n & ~(uint)Lock)),
        Gen.Choose(0, 0xFF).Select(n => (0x9E, 1, (uint)n)),
        Gen.Choose(0, 0xFFFF).Select(n => (0x9D, 2, (uint)n & ~(uint)Lock)),
        Gen.Choose(0, 0x40).Select(n => (0xB0, 2, (uint)n << 6)),
        Gen.Choose(0x1000, 0x2000).Select(n => (0xA0, 4, (uint)n << 16)),
        from first in Gen.Choose(0x3E, 0x60) from last in Gen.Choose(0x3E, 0x80) select (0x98, 4, (uint)first | (uint)last << 16),
        Gen.Choose(0, 0xFFFF).Select(n => (0x50, 2, (uint)n)),
        Gen.Choose(0, 6).Select(n => (0x90 + n, 1, 0x33u)));

    [Theory]
    [InlineData("16M")]
    [InlineData("64M")]
    [InlineData("3G")]
    [InlineData("6G")]
    public void Whatever_the_registers_say_only_the_mode_sees_its_RAM_and_it_sees_all_of_it(string memory)
    {
        int secret = 0;
        using TestBoard board = TestBoard.Managed(null, $"--memory {memory}");
        Prop.ForAll(Writes.ListOf(12).ToArbitrary(), writes =>
        {
            foreach ((int offset, int size, uint value) in writes)
            {
                board.Write(Hub, offset, value, size);
                secret += Check(board);
            }

            board.Board.Reset();
            Assert.Empty(Secrets(board));
            Assert.Equal(0, board.Management!.Above.View.Ranges.Length);
        }).Holds();
        Assert.True(secret > 100, $"{secret} pieces of RAM for the mode alone");
    }

    [Fact]
    public void A_lock_lasts_until_a_reset_and_leaves_the_guest_no_register_that_would_show_or_move_what_is_hidden()
    {
        using TestBoard board = TestBoard.Managed(null, "--memory 64M");
        Prop.ForAll(Gen.Choose(0, 3).ToArbitrary(), Gen.Elements((byte)0x00, (byte)0x80).ToArbitrary(), Writes.ListOf(12).ToArbitrary(), (tseg, high, writes) =>
        {
            board.Write(Hub, 0x9E, (uint)(tseg << 1 | 1 | high), 1);
            board.Write(Hub, Smram, Open | Enable, 1);
            board.Write(Hub, Smram, Open | Enable | Lock, 1);
            (ulong, ulong, ulong)[] before = Secrets(board);
            Assert.Equal(2, before.Length);
            foreach ((int offset, int size, uint value) in writes)
            {
                board.Write(Hub, offset, value, size);
                Assert.Equal(before, Secrets(board));
                Check(board);
            }

            board.Board.Reset();
            Assert.Equal(0x02u, board.Read(Hub, Smram, 1));
        }).Holds();
    }

    [Fact]
    public void What_devices_reach_by_DMA_and_exits_reach_outside_the_mode_is_ones_where_TSEG_is()
    {
        using TestBoard board = TestBoard.Managed(null, "--memory 64M");
        ulong tseg = (64UL << 20) - (8 << 20);
        board.Ram.Block.Write(tseg, 0x1122_3344u);
        board.Write(Hub, 0x9E, 2 << 1 | 1, 1);
        board.Write(Hub, Smram, Enable, 1);
        DmaPort dma = new(board.Board.Memory, board.Board.MemoryDispatcher, static _ => false);
        byte[] bytes = [0x55, 0x55, 0x55, 0x55];
        dma.Write(new GuestAddress(tseg), bytes);
        board.Store(tseg, 0x6666_6666);
        Assert.Equal(0xFFFF_FFFFul, board.Load(tseg));
        Assert.False(dma.Read(new GuestAddress(tseg), bytes) && bytes[0] == 0x44);
        Assert.Equal(0x1122_3344u, board.Ram.Block.Read<uint>(tseg));
        Assert.Equal(AccessResult.Ok, board.Management!.Read(new GuestAddress(tseg), 4, out ulong seen));
        Assert.Equal(0x1122_3344ul, seen);
        Assert.Equal(new AddressRange(new GuestAddress(tseg), 8 << 20), board.Board.HiddenRam);
    }

    [Fact]
    public void The_size_of_an_extended_TSEG_is_told_to_who_asks()
    {
        using TestBoard board = TestBoard.Managed(null, "--memory 64M");
        Assert.Equal(0u, board.Read(Hub, 0x50, 2));
        board.Write(Hub, 0x50, 0xFFFF, 2);
        Assert.Equal(16u, board.Read(Hub, 0x50, 2));
    }

    [Fact]
    public void A_board_without_the_mode_has_none_of_it()
    {
        using TestBoard board = TestBoard.Raw("--memory 64M");
        Assert.Null(board.Management);
        board.Write(Hub, 0x50, 0xFFFF, 2);
        board.Write(Lpc, 0xA0, 0x10, 2);
        board.Write(Hub, 0x9E, 1, 1);
        board.Write(Hub, Smram, Enable | Open, 1);
        Assert.Equal((0u, 0u), (board.Read(Hub, 0x50, 2), board.Read(Lpc, 0xA0, 2)));
        Assert.Equal(("ram-low", null), (board.Answers((64UL << 20) - Page), board.Answers(0xA_0000)));
    }

    [Fact]
    public void Commands_raise_SMIs_at_whom_firmware_agreed_and_SMI_LOCK_keeps_them_on()
    {
        using TestBoard board = TestBoard.Managed(null, "--memory 64M");
        board.Write(Lpc, 0x40, 0x600, 4);
        board.Write(Lpc, 0x44, 0x80, 1);
        board.Cpu.PortWrite(0xB2, 1, 0);
        Assert.Empty(board.Smis);
        board.Cpu.PortWrite(0x630, 4, 0x21);
        board.Cpu.PortWrite(0xB2, 1, 0);
        Agree(board, 1);
        board.Cpu.PortWrite(0xB2, 1, 0);
        Assert.Equal([false, true], board.Smis);
        board.Write(Lpc, 0xA0, 0x10, 2);
        board.Write(Lpc, 0xA0, 0, 2);
        board.Cpu.PortWrite(0x630, 4, 0x20);
        Assert.Equal((0x10u, 0x21u), (board.Read(Lpc, 0xA0, 2), board.Cpu.PortRead(0x630, 4)));
        board.Board.Reset();
        Assert.Equal(0u, board.Read(Lpc, 0xA0, 2));
    }

    [Fact]
    public void The_flash_bank_takes_commands_from_the_mode_only_and_everybody_reads_it()
    {
        string path = Path.GetTempFileName();
        try
        {
            byte[] content = new byte[8192];
            content[0] = 0x5A;
            File.WriteAllBytes(path, content);
            using VariableBank bank = VariableBank.Open(path, null, snapshot: true, static _ => { });
            using TestBoard board = TestBoard.Managed(bank, "--memory 64M");
            ulong start = FourGiB - 0x2_0000 - 8192;
            Random random = new(7);
            for (int i = 0; i < 2000; i++)
            {
                board.Store(start + (ulong)random.Next(8192), (ulong)random.Next(256), 1);
                board.Store(start, (ulong)(random.Next(2) == 0 ? 0x40 : 0x20), 1);
                board.Store(start + 5, 0x77, 1);
            }

            Assert.Equal(content, bank.Content.AsSpan(0, 8192).ToArray());
            Assert.Equal(0x5Aul, board.Load(start, 1));
            OverlaidMemory mode = board.Management!;
            mode.Write(new GuestAddress(start + 5), 1, 0x40);
            mode.Write(new GuestAddress(start + 5), 1, 0x77);
            mode.Read(new GuestAddress(start), 1, out ulong status);
            Assert.Equal((0x80ul, 0x5Aul), (status, board.Load(start, 1)));
            Assert.NotNull(board.Host.At(start));
            Assert.Null(board.ManagementHost.At(start));
            mode.Write(new GuestAddress(start), 1, 0xFF);
            mode.Read(new GuestAddress(start + 5), 1, out ulong written);
            Assert.Equal((0x77ul, 0x77ul), (written, board.Load(start + 5, 1)));
            Assert.NotNull(board.ManagementHost.At(start));
        }
        finally
        {
            File.Delete(path);
        }
    }

    private static void Agree(TestBoard board, byte wanted)
    {
        Dictionary<string, IFirmwareItem> files = board.Features.Files.ToDictionary();
        Assert.True(files[SmiFeatures.RequestedFile].Write(0, [wanted]));
        files[SmiFeatures.AgreedFile].Select();
    }

    // By the raw registers: guest address, byte of DRAM, length of what only the mode is to see (Intel 3 Series datasheet, 5.1.21 and 5.1.22).
    private static (ulong Address, ulong Offset, ulong Size)[] Secrets(TestBoard board)
    {
        uint smram = board.Read(Hub, Smram, 1);
        uint extended = board.Read(Hub, 0x9E, 1);
        if ((smram & Enable) == 0)
        {
            return [];
        }

        List<(ulong, ulong, ulong)> secrets = [];
        if ((smram & Open) == 0)
        {
            secrets.Add(((extended & 0x80) != 0 ? 0xFEDA_0000 : 0xA_0000, 0xA_0000, 0x2_0000));
        }

        ulong[] megabytes = [1, 2, 8, 16];
        ulong size = megabytes[extended >> 1 & 3] << 20;
        ulong end = RamOracle.LowEnd(board);
        ulong start = end >= size + (1 << 20) ? end - size : 1 << 20;
        if ((extended & 1) != 0 && start < end)
        {
            secrets.Add((start, start, end - start));
        }

        return [.. secrets];
    }

    // Answers how many pieces are secret. Looks at every slot of both tables, not at samples.
    private static int Check(TestBoard board)
    {
        (ulong Address, ulong Offset, ulong Size)[] secrets = Secrets(board);
        Assert.Equal((0, 0), (board.Host.Refusals, board.ManagementHost.Refusals));
        Assert.Null(board.Slots.Verify());
        Assert.Null(board.ManagementSlots!.Verify());
        ulong ram = board.Ram.Block.HostAddress.Value;
        foreach (MemorySlot slot in board.Host.Table.Values.Where(s => s.Host.Value >= ram && s.Host.Value < ram + board.Ram.Block.Size))
        {
            ulong offset = slot.Host.Value - ram;
            Assert.DoesNotContain(secrets, s => offset < s.Offset + s.Size && s.Offset < offset + slot.Range.Size);
        }

        foreach ((ulong address, ulong offset, ulong size) in secrets)
        {
            foreach (ulong at in new ulong[] { 0, size / 2 & ~(Page - 1), size - Page })
            {
                Assert.Equal(ram + offset + at, Host(board.ManagementHost, address + at));
            }

            // An exit from outside the mode finds nothing of it either.
            board.Store(address, 0x5A5A_5A5A);
            Assert.NotEqual(0x5A5A_5A5Au, board.Ram.Block.Read<uint>(offset));
        }

        // Elsewhere the mode sees what everybody sees.
        foreach (ulong at in new ulong[] { 0, 0x9_F000, 0xA_0000, 0x10_0000, RamOracle.LowEnd(board) - Page, FourGiB, FourGiB - Page, FourGiB + (1UL << 30) })
        {
            if (!secrets.Any(s => at >= s.Address && at < s.Address + s.Size))
            {
                Assert.Equal(Host(board.Host, at), Host(board.ManagementHost, at));
            }
        }

        return secrets.Length;
    }

    private static ulong? Host(TestKit.Parts.Boards.FakeSlots slots, ulong address) =>
        slots.At(address) is { } slot ? slot.Host.Value + (address - slot.Range.Start.Value) : null;
}
