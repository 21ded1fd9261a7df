using Aperture.Devices.Pc;
using Aperture.TestKit.Devices;

namespace Aperture.Devices.Tests;

public sealed class HpetTests : IDisposable
{
    private readonly FakeClock _clock = new();
    private readonly Dictionary<int, FakeLine> _lines = [];
    private readonly Hpet _hpet;

    public HpetTests() => _hpet = new Hpet(_clock, input => _lines.TryGetValue(input, out FakeLine? line) ? line : _lines[input] = new FakeLine());

    public void Dispose() => _hpet.Dispose();

    private ulong Counter
    {
        get
        {
            Assert.Equal(AccessResult.Ok, _hpet.Read(0xF0, 8, out ulong value));
            return value;
        }
    }

    private void Advance(double milliseconds) => _clock.Advance(TimeSpan.FromMilliseconds(milliseconds));

    private void Run() => _hpet.Out32(0x10, 1);

    [Fact]
    public void The_capabilities_are_a_64_bit_counter_of_10_ns_and_three_timers_without_legacy_replacement()
    {
        uint id = _hpet.In32(0);
        Assert.Equal(Hpet.BlockId, id);
        Assert.Equal(2u, id >> 8 & 0x1F);
        Assert.Equal(1u, id >> 13 & 1);
        Assert.Equal(0u, id >> 15 & 1);
        Assert.NotEqual(0u, id & 0xFF);
        Assert.Equal(10_000_000u, _hpet.In32(4));
        _hpet.Out32(0x10, 3);
        Assert.Equal(1u, _hpet.In32(0x10));
        for (uint timer = 0; timer < 3; timer++)
        {
            Assert.Equal(0x30u, _hpet.In32(0x100 + (timer * 0x20)));
            Assert.Equal(Hpet.DefaultRoutes, _hpet.In32(0x104 + (timer * 0x20)));
        }
    }

    [Fact]
    public void The_counter_counts_10_ns_while_enabled_and_stands_while_not()
    {
        Advance(5);
        Assert.Equal(0UL, Counter);
        Run();
        Advance(7);
        Assert.Equal(700_000UL, Counter);
        _hpet.Out32(0x10, 0);
        Advance(7);
        Assert.Equal(700_000UL, Counter);
        _hpet.Write(0xF0, 8, 0xFFFF_FFFF_FFFF_FFF0);
        Run();
        _clock.Advance(TimeSpan.FromMicroseconds(1));
        Assert.Equal(84UL, Counter);
    }

    [Fact]
    public void An_edge_timer_pulses_its_line_once_when_the_counter_reaches_it()
    {
        _hpet.Out32(0x100, 1 << 2 | 20 << 9);
        _hpet.Write(0x108, 8, 300_000);
        Run();
        Advance(2.9);
        Assert.Equal(0, _lines[20].Edges);
        Advance(0.2);
        Assert.Equal(2, _lines[20].Edges);
        Assert.False(_lines[20].Level);
        Assert.Equal(0u, _hpet.In32(0x20));
        Advance(100_000);
        Assert.Equal(2, _lines[20].Edges);
    }

    [Fact]
    public void A_level_timer_holds_its_line_until_its_status_bit_is_cleared()
    {
        _hpet.Out32(0x120, 1 << 2 | 1 << 1 | 21 << 9);
        _hpet.Write(0x128, 8, 100_000);
        Run();
        Advance(2);
        Assert.True(_lines[21].Level);
        Assert.Equal(2u, _hpet.In32(0x20));
        _hpet.Out32(0x20, 1);
        Assert.True(_lines[21].Level);
        _hpet.Out32(0x20, 2);
        Assert.False(_lines[21].Level);
        Assert.Equal(0u, _hpet.In32(0x20));
    }

    [Fact]
    public void A_periodic_timer_comes_again_and_periods_that_were_slept_through_come_once()
    {
        // As Linux sets it up: value-set, first comparator, then period.
        _hpet.Out32(0x100, 1 << 2 | 1 << 3 | 1 << 6 | 1 << 8 | 23 << 9);
        _hpet.Out32(0x108, 500_000);
        _hpet.Out32(0x108, 400_000);
        Run();
        Advance(4.9);
        Assert.Equal(0, _lines[23].Edges);
        Advance(0.2);
        Assert.Equal(2, _lines[23].Edges);
        Assert.Equal(900_000u, _hpet.In32(0x108));
        Advance(4);
        Assert.Equal(4, _lines[23].Edges);
        Advance(4);
        Assert.Equal(6, _lines[23].Edges);
        Assert.Equal(1_700_000u, _hpet.In32(0x108));

        // 13 ms pass without the host's timers; the next match is the first one still to come.
        _clock.TimestampOffset += TimeSpan.FromMilliseconds(13).Ticks;
        Advance(4);
        Assert.Equal(8, _lines[23].Edges);
        Assert.Equal(3_300_000u, _hpet.In32(0x108));
    }

    [Fact]
    public void A_route_that_the_timer_has_not_is_not_taken()
    {
        _hpet.Out32(0x100, 22 << 9);
        _hpet.Out32(0x100, 2 << 9);
        Assert.Equal(22u, _hpet.In32(0x100) >> 9 & 31);
    }

    [Fact]
    public void Reset_stops_everything_and_drops_the_lines()
    {
        _hpet.Out32(0x120, 1 << 2 | 1 << 1 | 21 << 9);
        _hpet.Write(0x128, 8, 100_000);
        Run();
        Advance(2);
        _hpet.Reset();
        Assert.False(_lines[21].Level);
        Assert.Equal(0UL, Counter);
        Assert.Equal(0, _clock.ArmedTimers);
        Assert.Equal(0x30u, _hpet.In32(0x120));
    }

    // The oracle counts matches of each comparator by stepping through time in its own way.
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Random_one_shots_fire_when_their_time_has_come_and_not_before(int seed)
    {
        Random random = new(seed);
        Run();
        for (int i = 0; i < 500; i++)
        {
            int edges = _lines[20].Edges;
            ulong wait = (ulong)random.Next(1, 2_000_000);
            _hpet.Out32(0x100, (uint)(1 << 2 | 20 << 9 | (random.Next(2) << 8)));
            ulong due = Counter + wait;
            _hpet.Write(0x108, 8, due);
            while (Counter < due)
            {
                Assert.Equal(edges, _lines[20].Edges);
                _clock.Advance(TimeSpan.FromTicks(random.Next(1, 100_000)));
            }

            // The host's timers have a resolution of a millisecond.
            Advance(1);
            Assert.Equal(edges + 2, _lines[20].Edges);
        }
    }
}
