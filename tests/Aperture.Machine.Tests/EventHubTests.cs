using System.Text;
using System.Text.Json;
using Aperture.Linux;
using Aperture.Watch;

namespace Aperture.Machine.Tests;

public class EventHubTests
{
    [Fact]
    public void A_subscriber_that_throws_is_not_called_again_and_the_others_hear_everything()
    {
        EventHub hub = new(TimeProvider.System);
        Listener broken = new(true) { Throws = true };
        Listener sound = new(true);
        hub.Subscribe(broken);
        hub.Subscribe(sound);
        hub.Write("a");
        hub.Write("b");
        Assert.Equal((1, 2), (broken.Lines.Count, sound.Lines.Count));
    }

    [Fact]
    public void A_notice_reaches_who_takes_nothing_else_and_is_an_event_too()
    {
        EventHub hub = new(TimeProvider.System);
        Listener person = new(false);
        using (hub.Subscribe(person))
        {
            Assert.False(hub.Enabled);
            hub.Write("a", _ => Assert.Fail("nobody asked for it"));
            Listener file = new(true);
            hub.Subscribe(file);
            hub.Write("b", json => json.WriteNumber("n", 1));
            hub.Notice("c", "Look at it.");
            Assert.Equal(["Look at it."], person.Notices);
            Assert.Equal(["b", "c"], file.Lines.Select(l => JsonDocument.Parse(l).RootElement.GetProperty("event").GetString()));
            Assert.Equal("Look at it.", JsonDocument.Parse(file.Lines[1]).RootElement.GetProperty("notice").GetString());
        }

        hub.Notice("d", "Too late.");
        Assert.Single(person.Notices);
    }

    [Fact]
    public void A_stream_that_is_stuck_holds_nobody_up_and_what_is_left_out_is_counted()
    {
        const int Events = 300;
        string filler = new('x', OutputQueue.Capacity / 100);
        using StuckStream stream = new();
        EventHub hub = new(TimeProvider.System);
        using (hub.Subscribe(EventLog.To(new OutputQueue(stream))))
        {
            for (int i = 0; i < Events; i++)
            {
                hub.Write("x", json => json.WriteString("text", filler));
            }

            stream.Open.Set();
            hub.Flush();
            hub.Write("last");
        }

        string[] text = Encoding.UTF8.GetString(stream.ToArray()).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        JsonElement[] lines = [.. text.Select(l => JsonDocument.Parse(l).RootElement)];
        JsonElement leftOut = Assert.Single(lines, l => l.GetProperty("event").GetString() == "events.left_out");
        Assert.Equal(Events, lines.Count(l => l.GetProperty("event").GetString() == "x") + leftOut.GetProperty("count").GetInt32());
        Assert.Equal("last", lines[^1].GetProperty("event").GetString());
        Assert.True(leftOut.GetProperty("count").GetInt32() > 0);
    }

    [Fact]
    public void A_file_that_takes_no_more_is_told_once_and_ends_only_the_log()
    {
        EventHub hub = new(TimeProvider.System);
        Listener person = new(false);
        hub.Subscribe(person);
        using (hub.Subscribe(EventLog.Open("/dev/full", new OutputFiles(Assert.Fail), hub)))
        {
            for (int i = 0; i < 10; i++)
            {
                hub.Write("x");
                hub.Flush();
            }
        }

        Assert.StartsWith("events are no longer written to /dev/full: ", Assert.Single(person.Notices), StringComparison.Ordinal);
    }

    private sealed class Listener(bool takesEvents) : IEventSubscriber
    {
        public List<string> Lines { get; } = [];

        public List<string> Notices { get; } = [];

        public bool Throws { get; init; }

        public bool TakesEvents => takesEvents;

        public void Take(in WatchedEvent happened)
        {
            Lines.Add(Encoding.UTF8.GetString(happened.Line));
            if (happened.Notice is { } notice)
            {
                Notices.Add(notice);
            }

            if (Throws)
            {
                throw new InvalidOperationException("as a subscriber may");
            }
        }
    }

    private sealed class StuckStream : MemoryStream
    {
        public ManualResetEventSlim Open { get; } = new();

        public override void Write(ReadOnlySpan<byte> buffer)
        {
            Open.Wait();
            base.Write(buffer);
        }

        protected override void Dispose(bool disposing)
        {
            Open.Set();
            base.Dispose(disposing);
        }
    }
}
