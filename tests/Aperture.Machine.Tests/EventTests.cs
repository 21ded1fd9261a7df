using System.Text;
using System.Text.Json;
using Aperture.Machine.Tests.Fakes;
using Aperture.Pci.Registers;
using Aperture.Watch;

namespace Aperture.Machine.Tests;

public class EventTests
{
    private static List<JsonElement> Lines(MemoryStream stream) =>
        [.. Encoding.UTF8.GetString(stream.ToArray()).Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => JsonDocument.Parse(l).RootElement)];

    private static JsonElement One(MemoryStream stream, string kind) => Lines(stream).Last(e => e.GetProperty("event").GetString() == kind);

    private static string Text(JsonElement line, string member) => line.GetProperty(member).GetString()!;

    [Fact]
    public void Programming_a_BAR_is_told_as_the_write_the_BAR_the_decode_and_the_slot()
    {
        using MemoryStream stream = new();
        using TestBoard board = TestBoard.WithEvents(stream, "--device test,id=a,addr=04.0,bar0=mem32:64K:ram");
        stream.SetLength(0);
        ulong old = board.BarAt("a", 0);
        board.SetBar("a", 0, 0xE000_0000);
        Assert.Equal(
            ["config.write", "bar.programmed", "bar.undecoded", "bar.decoded", "slot.removed", "slot.added"],
            Lines(stream).Select(e => Text(e, "event")));
        JsonElement write = One(stream, "config.write");
        Assert.Equal(("a", "00:04.0", "0x10", "0xe0000000"), (Text(write, "function"), Text(write, "bdf"), Text(write, "register"), Text(write, "value")));
        Assert.Equal("0xe0000000", Text(One(stream, "bar.programmed"), "address"));
        JsonElement gone = One(stream, "bar.undecoded");
        Assert.Equal(($"0x{old:x}", "0x10000", "bar0"), (Text(gone, "address"), Text(gone, "size"), Text(gone, "bar")));
        JsonElement here = One(stream, "bar.decoded");
        Assert.Equal(("0xe0000000", "a.bar0", "ram", "mem32"), (Text(here, "address"), Text(here, "region"), Text(here, "backing"), Text(here, "kind")));
        Assert.Equal(("a.bar0", "0xe0000000"), (Text(One(stream, "slot.added"), "region"), Text(One(stream, "slot.added"), "address")));
    }

    [Fact]
    public void Times_never_go_back_and_every_line_has_one()
    {
        using MemoryStream stream = new();
        using TestBoard board = TestBoard.WithEvents(stream, "--device test,id=a,addr=04.0,bar0=mem32:64K:ram");
        double[] times = [.. Lines(stream).Select(e => e.GetProperty("t").GetDouble())];
        Assert.NotEmpty(times);
        Assert.Equal(times.Order(), times);
    }

    [Fact]
    public void A_pinned_BAR_that_the_guest_moves_is_told_with_what_it_asked_for()
    {
        using MemoryStream stream = new();
        using TestBoard board = TestBoard.WithEvents(stream, "--device test,id=a,addr=04.0,bar0=mem32:1M:trap,bars=bar0@0xe0000000");
        board.SetBar("a", 0, 0xD000_0000);
        JsonElement refused = One(stream, "bar.move_refused");
        Assert.Equal(("0xe0000000", "0xd0000000", "Lock"), (Text(refused, "address"), Text(refused, "asked"), Text(refused, "policy")));
    }

    [Fact]
    public void A_BAR_that_cannot_decode_is_told_with_the_obstacle()
    {
        using MemoryStream stream = new();
        using TestBoard board =
            TestBoard.WithEvents(stream, "--device test,id=a,addr=04.0,bar0=mem32:64K:ram", "--device test,id=b,addr=05.0,bar0=mem32:64K:ram");
        board.SetBar("a", 0, board.BarAt("b", 0));
        JsonElement refused = One(stream, "bar.refused");
        Assert.Equal(("a", "Conflict", "b bar0"), (Text(refused, "function"), Text(refused, "reason"), Text(refused, "obstacle")));
    }

    [Fact]
    public void Unclaimed_addresses_are_listed_once_each_and_ECAM_moves_are_told()
    {
        using MemoryStream stream = new();
        using TestBoard board = TestBoard.WithEvents(stream);
        board.Load(0x70_0000_0000);
        board.Load(0x70_0000_0000);
        board.Cpu.PortWrite(0x1234, 2, 5);
        List<JsonElement> unclaimed = [.. Lines(stream).Where(e => Text(e, "event") == "unclaimed")];
        Assert.Equal([("memory", "0x7000000000", "read", 4), ("port", "0x1234", "write", 2)],
            unclaimed.Select(e => (Text(e, "space"), Text(e, "address"), Text(e, "access"), e.GetProperty("width").GetInt32())));
        board.Write("mch", 0x60, 0);
        Assert.Equal("0xb0000000", Text(One(stream, "ecam.disabled"), "address"));
    }

    [Fact]
    public void Writes_that_change_nothing_that_matters_are_not_told()
    {
        using MemoryStream stream = new();
        using TestBoard board = TestBoard.WithEvents(stream, "--device test,id=a,addr=04.0,bar0=mem32:64K:ram");
        stream.SetLength(0);
        board.Write("a", 0x3C, 5, 1);
        board.SetCommand("a", PciCommand.MemorySpace | PciCommand.IoSpace);
        Assert.Empty(Lines(stream));
    }

    [Fact]
    public void A_log_is_bounded_and_says_so_once()
    {
        using CountingStream stream = new();
        EventHub log = new(TimeProvider.System);
        using IDisposable subscription = log.Subscribe(EventLog.To(stream));
        for (int i = 0; i < EventLog.MaxEvents + 100; i++)
        {
            log.Write("x");
        }

        Assert.Equal(EventLog.MaxEvents + 1, stream.Lines);
        Assert.Contains("events.truncated", stream.Last, StringComparison.Ordinal);
    }

    [Fact]
    public void A_log_whose_file_fails_goes_quiet_and_does_not_throw()
    {
        using FailingStream stream = new();
        EventHub log = new(TimeProvider.System);
        using IDisposable subscription = log.Subscribe(EventLog.To(stream));
        log.Write("x");
        log.Write("y");
        Assert.Equal(1, stream.Writes);
    }

    private sealed class CountingStream : MemoryStream
    {
        public int Lines { get; private set; }

        public string Last { get; private set; } = "";

        public override void Write(ReadOnlySpan<byte> buffer)
        {
            Lines += buffer.Count((byte)'\n');
            Last = Lines > EventLog.MaxEvents ? Encoding.UTF8.GetString(buffer) : "";
        }
    }

    private sealed class FailingStream : MemoryStream
    {
        public int Writes { get; private set; }

        public override void Write(ReadOnlySpan<byte> buffer)
        {
            Writes++;
            throw new IOException("No space left on device");
        }
    }
}
