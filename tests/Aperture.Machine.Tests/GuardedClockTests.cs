using Aperture.TestKit.Devices;

namespace Aperture.Machine.Tests;

public class GuardedClockTests
{
    [Fact]
    public void A_timer_that_fails_is_told_and_the_others_go_on()
    {
        FakeClock time = new();
        List<string> told = [];
        GuardedClock clock = new(time, told.Add);
        int fired = 0;
        using ITimer bad = clock.CreateTimer(
            static _ => throw new InvalidOperationException("a mistake"), null, TimeSpan.FromSeconds(1), Timeout.InfiniteTimeSpan);
        using ITimer good = clock.CreateTimer(state => fired += (int)state!, 7, TimeSpan.FromSeconds(2), Timeout.InfiniteTimeSpan);
        time.Advance(TimeSpan.FromSeconds(3));
        Assert.Contains("a mistake", Assert.Single(told), StringComparison.Ordinal);
        Assert.Equal((7, time.GetUtcNow(), time.GetTimestamp()), (fired, clock.GetUtcNow(), clock.GetTimestamp()));
    }
}
