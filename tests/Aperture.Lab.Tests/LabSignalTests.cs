using System.Diagnostics;

namespace Aperture.Lab.Tests;

/// <summary>
/// SIGINT is left out because the test runner ends the whole run on it. Every runner of the process hears a signal, so this runs while no other test does.
/// </summary>
[CollectionDefinition(nameof(LabSignalTests), DisableParallelization = true)]
[Collection(nameof(LabSignalTests))]
public sealed class LabSignalTests
{
    [Theory]
    [InlineData("TERM", 143)]
    [InlineData("HUP", 129)]
    public async Task A_signal_ends_the_emulator_removes_its_files_and_gives_128_plus_its_number(string signal, int expected)
    {
        using FakeEmulator fake = new("trap '' HUP INT TERM; while :; do sleep 0.1; done");
        LabStreams streams = new(Stream.Null, Stream.Null, Stream.Null);
        Task<int> run = fake.Runner().RunAsync(new LabRun("/bin/true", []), streams, TestContext.Current.CancellationToken);
        await fake.StartedAsync(TestContext.Current.CancellationToken);
        using Process kill = Process.Start(
            "/bin/sh", ["-c", "kill -" + signal + " " + Environment.ProcessId.ToString(System.Globalization.CultureInfo.InvariantCulture)]);
        Assert.Equal(expected, await run);
        fake.AssertNothingLeft();
    }
}
