using Aperture.Devices.Arm;
using Aperture.TestKit.Devices;
using FsCheck;
using FsCheck.Fluent;

namespace Aperture.Devices.Tests.Arm;

public class Pl031Tests
{
    private readonly FakeClock _clock = new();
    private readonly FakeLine _line = new();

    [Fact]
    public void It_starts_at_the_hosts_time_and_runs()
    {
        using Pl031 rtc = new(_clock, _line);
        Assert.Equal((uint)_clock.GetUtcNow().ToUnixTimeSeconds(), rtc.In32(0));
        Assert.Equal(1u, rtc.In32(0x0C));
        _clock.Advance(TimeSpan.FromSeconds(100));
        Assert.Equal((uint)_clock.GetUtcNow().ToUnixTimeSeconds(), rtc.In32(0));
        byte[] id = [.. Enumerable.Range(0, 8).Select(i => (byte)rtc.In32(0xFE0 + (4 * (ulong)i)))];
        Assert.Equal([0x31, 0x10, 0x04, 0x00, 0x0D, 0xF0, 0x05, 0xB1], id);
    }

    [Fact]
    public void The_guest_may_set_it_and_a_reset_does_not_turn_it_back()
    {
        using Pl031 rtc = new(_clock, _line);
        rtc.Out32(0x08, 1000);
        _clock.Advance(TimeSpan.FromSeconds(5));
        rtc.Reset();
        Assert.Equal(1005u, rtc.In32(0));
    }

    /// <summary>Second by second: the alarm is raised when the counter comes to the match, however the two were set, and at no other time.</summary>
    [Fact]
    public void The_alarm_comes_when_the_counter_is_there()
    {
        Gen<(int Kind, uint Value)> steps =
            from kind in Gen.Choose(0, 5)
            from value in Gen.Elements(0u, 1u, 2u, 5u, 9u, 86_400u, 200_000u, uint.MaxValue)
            select (kind, value);
        Prop.ForAll(steps.ListOf(30).ToArbitrary(), list =>
        {
            FakeClock clock = new();
            FakeLine line = new();
            using Pl031 rtc = new(clock, line);
            uint counter = (uint)clock.GetUtcNow().ToUnixTimeSeconds();
            uint match = 0;
            bool raised = false;
            bool armed = false;
            bool mask = false;
            foreach ((int kind, uint value) in list)
            {
                switch (kind)
                {
                    case 0:
                        match = counter + value;
                        rtc.Out32(4, match);
                        (raised, armed) = (raised || value == 0, value != 0);
                        break;
                    case 1:
                        counter = match - value;
                        rtc.Out32(8, counter);
                        (raised, armed) = (raised || (armed && value == 0), armed && value != 0);
                        break;
                    case 2:
                        mask = (value & 1) != 0;
                        rtc.Out32(0x10, value);
                        break;
                    case 3:
                        raised = raised && (value & 1) == 0;
                        rtc.Out32(0x1C, value);
                        break;
                    default:
                        uint seconds = Math.Min(value, 200_000);
                        bool reached = armed && match - counter <= seconds;
                        (raised, armed) = (raised || reached, armed && !reached);
                        counter += seconds;
                        clock.Advance(TimeSpan.FromSeconds(seconds));
                        break;
                }

                Assert.Equal((counter, match), (rtc.In32(0), rtc.In32(4)));
                Assert.Equal(raised ? 1u : 0, rtc.In32(0x14));
                Assert.Equal(raised && mask ? 1u : 0, rtc.In32(0x18));
                Assert.Equal(raised && mask, line.Level);
            }
        }).Holds(200);
    }
}
