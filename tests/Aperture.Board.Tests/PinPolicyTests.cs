using System.Text.Json;
using Aperture.Board.Tests.Fakes;
using Aperture.Pci;
using Aperture.Pci.Registers;

namespace Aperture.Board.Tests;

public sealed class PinPolicyTests
{
    private const string Device = "--device test,id=t0,addr=04.0,bar0=mem32:1M:trap,bar2=mem64p:256M:ram,bars=bar0@0xe8000000,bar2@0x3b8000000000";

    private readonly RecordedEvents _log = new();
    private readonly List<string> _stops = [];

    private IReadOnlyList<string> Events => _log.Lines;

    [Theory]
    [InlineData("", BarPinPolicy.Lock)]
    [InlineData(",policy=lock", BarPinPolicy.Lock)]
    [InlineData(",policy=follow", BarPinPolicy.Follow)]
    [InlineData(",policy=stop", BarPinPolicy.Stop)]
    public void A_policy_goes_to_every_pinned_BAR_of_its_device(string option, BarPinPolicy policy)
    {
        using TestBoard board = TestBoard.Direct(Device + option);
        Assert.All(board.Function("t0").Bars, b => Assert.Equal(policy, b.PinPolicy));
    }

    [Fact]
    public void A_BAR_that_follows_decodes_where_the_guest_put_it_and_says_where_it_was()
    {
        using TestBoard board = Guarded("follow");
        board.SetBar("t0", 0, 0xE900_0000);
        Assert.Equal("t0.bar0", board.Answers(0xE900_0000));
        Assert.Null(board.Answers(0xE800_0000));
        JsonElement moved = Only("pin.moved");
        Assert.Equal(("0xe8000000", "0xe8000000", "0xe9000000"), (Text(moved, "pin"), Text(moved, "old"), Text(moved, "new")));
        Assert.DoesNotContain(Events, e => e.Contains("move_refused", StringComparison.Ordinal));
        board.SetCommand("t0", PciCommand.None);
        board.SetBar("t0", 0, 0xE800_0000);
        board.SetCommand("t0", PciCommand.MemorySpace);
        JsonElement back = JsonDocument.Parse(Events.Last(e => e.Contains("pin.moved", StringComparison.Ordinal))).RootElement;
        Assert.Equal(("0xe9000000", "0xe8000000"), (Text(back, "old"), Text(back, "new")));
    }

    [Fact]
    public void A_locked_BAR_stays_and_nobody_is_stopped()
    {
        using TestBoard board = Guarded("lock");
        board.SetBar("t0", 0, 0xE900_0000);
        Assert.Equal("t0.bar0", board.Answers(0xE800_0000));
        Assert.Empty(_stops);
        Only("bar.move_refused");
    }

    [Fact]
    public void A_BAR_that_must_not_move_ends_the_run_when_decoding_is_on_with_another_address()
    {
        using TestBoard board = Guarded("stop");
        board.SetCommand("t0", PciCommand.None);
        board.SetBar("t0", 2, 0x3B90_0000_0000);
        Assert.Empty(_stops);
        board.SetCommand("t0", PciCommand.MemorySpace);
        string sentence = Assert.Single(_stops);
        Assert.Contains("t0 (00:04.0) bar2 is pinned at 0x3b8000000000, and the guest gave it 0x3b9000000000", sentence, StringComparison.Ordinal);
        Assert.Contains("policy=follow", sentence, StringComparison.Ordinal);

        // Once is enough, and the BAR is still at its pin.
        board.SetBar("t0", 0, 0xE900_0000);
        Assert.Single(_stops);
        Assert.Equal("t0.bar2", board.Answers(0x3B80_0000_0000));
    }

    [Fact]
    public void Sizing_and_moving_back_before_decoding_stop_nobody()
    {
        using TestBoard board = Guarded("stop");
        board.SetBar("t0", 0, 0xFFFF_FFFF);
        board.SetBar("t0", 0, 0xE800_0000);
        board.SetBar("t0", 2, ulong.MaxValue);
        board.SetBar("t0", 2, 0x3B80_0000_0000);
        board.SetCommand("t0", PciCommand.None);
        board.SetBar("t0", 0, 0xE900_0000);
        board.SetBar("t0", 0, 0xE800_0000);
        board.SetCommand("t0", PciCommand.MemorySpace);
        Assert.Empty(_stops);
    }

    private TestBoard Guarded(string policy)
    {
        TestBoard board = TestBoard.WithEvents(_log, $"{Device},policy={policy}");
        board.Board.AddWatcher(new PinGuard(() => board.Board.Decode, _log, _stops.Add));
        return board;
    }

    private JsonElement Only(string kind) => JsonDocument.Parse(Assert.Single(Events, e => e.Contains($"\"{kind}\"", StringComparison.Ordinal))).RootElement;

    private static string Text(JsonElement e, string name) => e.GetProperty(name).GetString()!;
}
