using Aperture.Board.Tests.Fakes;
using Aperture.Memory;
using FsCheck;
using FsCheck.Fluent;

namespace Aperture.Board.Tests;

/// <summary>What a guest that programs TOLUD, TOUUD and the remap window does to its RAM.</summary>
public class RamHoleTests
{
    private const ulong FourGiB = 1UL << 32;
    private const string Hub = "mch";

    /// <summary>A word for each of the three register pairs; most are near values that make sense together.</summary>
    private static Gen<uint[]> Settings { get; } =
        from tolud in Gen.OneOf(Gen.Choose(0, 0xFFFF), Gen.Choose(0, 0x40).Select(n => n << 6))
        from top in Gen.OneOf(Gen.Choose(0, 0xFFFF), Gen.Choose(0x1000, 0x2000))
        from first in Gen.OneOf(Gen.Choose(0, 0x3FF), Gen.Choose(0x3E, 0x60))
        from last in Gen.OneOf(Gen.Choose(0, 0x3FF), Gen.Choose(0x3E, 0x80))
        select new[] { (uint)first | (uint)last << 16, (uint)top << 16, (uint)tolud };

    [Theory]
    [InlineData("128M")]
    [InlineData("3G")]
    [InlineData("6G")]
    public void Whatever_the_registers_say_RAM_shows_where_they_say_and_is_whole_again_after_a_reset(string memory)
    {
        int shown = 0;
        using TestBoard board = TestBoard.Raw($"--memory {memory}");
        Prop.ForAll(Settings.ListOf(3).ToArbitrary(), Gen.Choose(0, int.MaxValue).ToArbitrary(), (settings, seed) =>
        {
            foreach (uint[] words in settings)
            {
                board.Write(Hub, 0x98, words[0]);
                board.Write(Hub, 0xA0, words[1]);
                board.Write(Hub, 0xB0, words[2], 2);
                shown += Check(board, new Random(seed));
            }

            board.Board.Reset();
            foreach (RamPiece piece in board.Ram.Pieces)
            {
                MemorySlot slot = Assert.NotNull(board.Host.At(piece.Range.Last.Value & ~0xFFFUL));
                Assert.Equal(board.Ram.Block.HostAddress + piece.Region.RamOffset + (piece.Range.Size - 4096),
                    slot.Host + ((piece.Range.Last.Value & ~0xFFFUL) - slot.Range.Start.Value));
            }
        }).Holds();
        Assert.True(shown > 1000, $"{shown} addresses with RAM");
    }

    [Fact]
    public void A_smaller_low_hole_and_back_keeps_every_byte_at_its_own_place()
    {
        using TestBoard board = TestBoard.Raw("--memory 1G");
        for (ulong at = 16UL << 20; at < 1UL << 30; at += 16UL << 20)
        {
            board.Store(at, at ^ 0x5A5A_A5A5);
        }

        // RAM above 256 MiB goes to 4 GiB: the window first, the hole last.
        board.Write(Hub, 0x98, 0x40 | ((0x40 + 12 - 1) << 16));
        board.Write(Hub, 0xA0, (0x1000u + 768) << 16 | 0x10);
        board.Write(Hub, 0xB0, 256 << 4, 2);
        Assert.Equal(((256 - 16) * 16, 768 * 16), CmosSizes(board));
        Assert.Null(board.Host.At(256UL << 20));
        Assert.Null(board.Host.At((1UL << 30) - 4096));
        for (ulong at = 16UL << 20; at < 1UL << 30; at += 16UL << 20)
        {
            ulong now = at < 256UL << 20 ? at : FourGiB + at - (256UL << 20);
            Assert.Equal((at ^ 0x5A5A_A5A5) & uint.MaxValue, board.Load(now));
            board.Store(now, at ^ 0x1234_5678);
        }

        board.Board.Reset();
        Assert.Equal(((1024 - 16) * 16, 0), CmosSizes(board));
        for (ulong at = 16UL << 20; at < 1UL << 30; at += 16UL << 20)
        {
            Assert.Equal((at ^ 0x1234_5678) & uint.MaxValue, board.Load(at));
        }
    }

    [Fact]
    public void A_larger_window_for_PCI_takes_a_BAR_where_RAM_was_and_RAM_wins_again_when_it_comes_back()
    {
        using TestBoard board = TestBoard.Raw("--memory 512M", "--device test,id=a,bar0=mem32:1M:ram");
        board.SetBar("a", 0, 0x1000_0000);
        board.SetCommand("a", Aperture.Pci.Registers.PciCommand.MemorySpace);
        Assert.Equal("ram-low", board.Answers(0x1000_0000));
        board.Write(Hub, 0xB0, 128 << 4, 2);
        Assert.Equal("a.bar0", board.Answers(0x1000_0000));
        board.Write(Hub, 0xB0, 512 << 4, 2);
        Assert.Equal("ram-low", board.Answers(0x1000_0000));
        Assert.Empty(board.Board.Decode.Memory);
    }

    // Above 16 MiB and above 4 GiB, in units of 64 KiB.
    private static (int Low, int High) CmosSizes(TestBoard board)
    {
        int Byte(byte index)
        {
            board.Cpu.PortWrite(0x70, 1, index);
            return (byte)board.Cpu.PortRead(0x71, 1);
        }

        return (Byte(0x34) | Byte(0x35) << 8, Byte(0x5B) | Byte(0x5C) << 8 | Byte(0x5D) << 16);
    }

    // Probes addresses around everything that the registers name, and some by chance; answers how many had RAM.
    private static int Check(TestBoard board, Random random)
    {
        uint remap = board.Read(Hub, 0x98);
        ulong top = (ulong)(board.Read(Hub, 0xA0) >> 16) << 20;
        ulong[] edges =
        [
            0x20_0000, RamOracle.LowEnd(board), FourGiB, top, board.Ram.Block.Size, (remap & 0x3FFUL) << 26, ((remap >> 16 & 0x3FFUL) + 1) << 26,
            ((remap & 0x3FFUL) << 26) + FourGiB - RamOracle.LowEnd(board),
        ];
        IEnumerable<ulong> near = edges.SelectMany(e => new[] { e, e - 4096, e + 4096 });
        IEnumerable<ulong> chance = Enumerable.Range(0, 24).Select(_ => (ulong)random.NextInt64(0, 12L << 30) & ~0xFFFUL);
        int shown = 0;
        foreach (ulong at in near.Concat(chance).Where(a => a is >= 0x10_0000 and < 1UL << 40 && a is < 0xFEC0_0000 or >= FourGiB))
        {
            MemorySlot? slot = board.Host.At(at);
            ulong? expected = RamOracle.At(board, at);
            Assert.Equal(expected, slot is { } found ? found.Host.Value + (at - found.Range.Start.Value) - board.Ram.Block.HostAddress.Value : null);
            shown += expected is null ? 0 : 1;
        }

        Assert.Null(board.Slots.Verify());
        return shown;
    }
}
