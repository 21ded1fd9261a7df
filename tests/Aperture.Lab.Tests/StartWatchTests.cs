namespace Aperture.Lab.Tests;

public sealed class StartWatchTests
{
    private static readonly StartLimits Limits = new(Seconds(10), Seconds(5), Seconds(0.3), Seconds(100));

    private static TimeSpan Seconds(double value) => TimeSpan.FromSeconds(value);

    [Fact]
    public void A_slow_host_is_not_a_hang_while_the_emulator_makes_progress()
    {
        StartWatch watch = new(Limits);
        for (int second = 1; second <= 90; second++)
        {
            Assert.Null(watch.Check(Seconds(second), Seconds(second * 0.1)));
        }
    }

    [Fact]
    public void Standing_still_is_a_hang()
    {
        StartWatch watch = new(Limits);
        Assert.Null(watch.Check(Seconds(1), Seconds(1)));
        Assert.Null(watch.Check(Seconds(5.9), Seconds(1.2)));
        Assert.Contains("did nothing for 5 s", watch.Check(Seconds(6.1), Seconds(1.2)), StringComparison.Ordinal);
    }

    [Fact]
    public void Spinning_is_a_hang() =>
        Assert.Contains("11 s of processor time", new StartWatch(Limits).Check(Seconds(11), Seconds(11)), StringComparison.Ordinal);

    [Fact]
    public void The_wall_clock_is_the_last_bound()
    {
        StartWatch watch = new(Limits);
        for (int second = 1; second <= 100; second++)
        {
            Assert.Null(watch.Check(Seconds(second), Seconds(second * 0.09)));
        }

        Assert.Contains("100 s", watch.Check(Seconds(101), Seconds(9.1)), StringComparison.Ordinal);
    }
}
