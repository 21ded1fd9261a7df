using System.Globalization;
using System.Text.Json;
using Aperture.Board.Tests.Fakes;
using Aperture.Pci.Registers;
using FsCheck;
using FsCheck.Fluent;

namespace Aperture.Board.Tests;

/// <summary>What is told of a guest that tries to move pinned BARs: what it asked for, once it had asked for all of it.</summary>
public sealed class RefusedMoveTests
{
    private const ulong Pin = 0x3B80_1000_0000;
    private const int Low = 0x18;
    private const int High = 0x1C;

    // One of them pinned in words of both halves; the guest has the other addresses to choose from.
    private static readonly ulong[] Targets = [Pin, 0x3B80_2000_0000, 0x3B90_1000_0000, 0x3B90_2000_0000, 0x8_0000_0000, 0xC000_0000];

    public enum Sizing
    {
        None,
        OneAfterTheOther,
        BothAtOnce,
        LowAlone,
    }

    [Theory]
    [InlineData("lock")]
    [InlineData("stop")]
    public void A_guest_is_told_to_have_moved_a_64_bit_BAR_once_for_each_address_whatever_the_order_of_its_writes(string policy) => Prop.ForAll(
        Gen.ListOf(Steps()).ToArbitrary(),
        steps =>
        {
            RecordedEvents log = new();
            using TestBoard board = Pinned(log, policy);
            foreach (Step step in steps)
            {
                step.Carry(board);
            }

            // What the guest wanted, known without looking at a single write.
            Assert.Equal(steps.Select(s => s.Target).Where(t => t != Pin), Asked(log));
        }).Holds(200);

    [Fact]
    public void Half_an_address_is_told_when_decoding_is_switched_on_and_not_again()
    {
        RecordedEvents log = new();
        using TestBoard board = Pinned(log, "lock");
        board.SetCommand("t0", PciCommand.None);
        board.Write("t0", High, 0x3B90);
        Assert.Empty(Asked(log));
        board.SetCommand("t0", PciCommand.MemorySpace);
        Assert.Equal([0x3B90_1000_0000UL], Asked(log));
        board.SetCommand("t0", PciCommand.None);
        board.SetCommand("t0", PciCommand.MemorySpace);
        Assert.Single(Asked(log));
    }

    [Fact]
    public void The_upper_half_says_all_of_a_BAR_of_4_GiB_and_more()
    {
        RecordedEvents log = new();
        using TestBoard board = TestBoard.WithEvents(log, "--device test,id=t0,addr=04.0,bar2=mem64p:4G:ram,bars=bar2@0x3b8000000000");
        board.Write("t0", High, 0x3B90);
        Assert.Equal([0x3B90_0000_0000UL], Asked(log));
    }

    [Fact]
    public void A_reset_takes_back_what_was_half_asked_for()
    {
        RecordedEvents log = new();
        using TestBoard board = Pinned(log, "lock");
        board.Write("t0", High, 0x3B90);
        board.Board.Reset();
        board.SetCommand("t0", PciCommand.MemorySpace);
        board.Write("t0", Low, 0x2000_0000);
        Assert.Empty(Asked(log));
        board.Write("t0", High, 0x3B80);
        Assert.Equal([0x3B80_2000_0000UL], Asked(log));
    }

    private static Gen<Step> Steps() =>
        from target in Gen.Elements(Targets)
        from sizing in Gen.Elements(Enum.GetValues<Sizing>())
        from highFirst in Gen.Elements(true, false)
        from narrow in Gen.Elements(true, false)
        from decodes in Gen.Elements(true, false)
        select new Step(target, sizing, highFirst, narrow, decodes);

    private static TestBoard Pinned(RecordedEvents log, string policy) =>
        TestBoard.WithEvents(log, $"--device test,id=t0,addr=04.0,bar2=mem64p:256M:ram,bars=bar2@0x{Pin:x},policy={policy}");

    private static IEnumerable<ulong> Asked(RecordedEvents log) => log.Lines.Where(l => l.Contains("\"bar.move_refused\"", StringComparison.Ordinal))
        .Select(l => JsonDocument.Parse(l).RootElement.GetProperty("asked").GetString()!)
        .Select(t => ulong.Parse(t[2..], NumberStyles.HexNumber, CultureInfo.InvariantCulture));

    /// <summary>One intention of a guest's, as its software may carry it out.</summary>
    public sealed record Step(ulong Target, Sizing Sizing, bool HighFirst, bool Narrow, bool Decodes)
    {
        internal void Carry(TestBoard board)
        {
            if (!Decodes)
            {
                board.SetCommand("t0", PciCommand.None);
            }

            Size(board);
            foreach (int register in HighFirst ? new[] { High, Low } : [Low, High])
            {
                Give(board, register, (uint)(register == Low ? Target : Target >> 32));
            }

            board.SetCommand("t0", PciCommand.MemorySpace);
        }

        private void Size(TestBoard board)
        {
            int[][] rounds = Sizing switch
            {
                Sizing.None => [],
                Sizing.OneAfterTheOther => [[Low], [High]],
                Sizing.BothAtOnce => [[Low, High]],
                _ => [[Low]],
            };
            foreach (int[] registers in rounds)
            {
                uint[] before = [.. registers.Select(r => board.Read("t0", r))];
                foreach (int register in registers)
                {
                    board.Write("t0", register, uint.MaxValue);
                }

                foreach ((int register, uint value) in registers.Zip(before))
                {
                    board.Write("t0", register, value);
                }
            }
        }

        private void Give(TestBoard board, int register, uint value)
        {
            if (!Narrow)
            {
                board.Write("t0", register, value);
                return;
            }

            board.Write("t0", register, (ushort)value, 2);
            board.Write("t0", register + 2, value >> 16, 2);
        }
    }
}
