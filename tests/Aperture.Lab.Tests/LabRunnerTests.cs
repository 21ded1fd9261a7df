namespace Aperture.Lab.Tests;

/// <summary>The runner against a fake emulator: what it does when the machine fails, hangs or is cancelled.</summary>
public sealed class LabRunnerTests
{
    private static readonly LabRun True = new("/bin/true", []);

    private static LabStreams NoStreams => new(Stream.Null, Stream.Null, Stream.Null);

    [Fact]
    public async Task Cancelling_ends_the_emulator_and_removes_its_files()
    {
        using FakeEmulator fake = new("exec sleep 600");
        using CancellationTokenSource cancel = new();
        Task<int> run = fake.Runner().RunAsync(True, NoStreams, cancel.Token);
        await fake.StartedAsync(TestContext.Current.CancellationToken);
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => run);
        fake.AssertNothingLeft();
    }

    [Fact]
    public async Task An_emulator_that_refuses_to_start_is_reported_in_its_own_words_and_not_retried()
    {
        using FakeEmulator fake = new("echo 'no such machine' >&2; exit 1");
        ApertureException failure = await Assert.ThrowsAnyAsync<ApertureException>(
            () => fake.Runner().RunAsync(True, NoStreams, TestContext.Current.CancellationToken));
        Assert.Contains("no such machine", failure.Message, StringComparison.Ordinal);
        Assert.Equal(ApertureException.HostFailure, failure.ExitCode);
        Assert.Equal(1, fake.Starts);
        fake.AssertNothingLeft();
    }

    [Theory]
    [InlineData("ERROR:tcg-accel-ops.c:95:tcg_handle_interrupt: assertion failed: (bql_locked())", true)]
    [InlineData("assertion failed: (ret == 0)", false)]
    public async Task An_emulator_that_ends_on_a_write_of_CR8_is_reported_with_what_to_do(string said, bool remedy)
    {
        using FakeEmulator fake = new($"echo '{said}' >&2; kill -ABRT $$");
        ApertureException failure = await Assert.ThrowsAnyAsync<ApertureException>(
            () => fake.Runner().RunAsync(True, NoStreams, TestContext.Current.CancellationToken));
        Assert.Contains(said, failure.Message, StringComparison.Ordinal);
        Assert.Equal(remedy, failure.Message.Contains("`./aperture lab prepare qemu`", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_machine_that_ends_while_it_starts_is_started_again_and_its_panic_reported()
    {
        using FakeEmulator fake = new(
            """
            for a; do case $a in file,id=console,path=*) log=${a##*path=} ;; esac; done
            printf 'first\n[ 0.1] Kernel panic - not syncing: timer\nlast\n' >"$log"
            """);
        ApertureException failure = await Assert.ThrowsAnyAsync<ApertureException>(
            () => fake.Runner().RunAsync(True with { StartRetries = 2 }, NoStreams, TestContext.Current.CancellationToken));
        Assert.EndsWith("[ 0.1] Kernel panic - not syncing: timer", failure.Message, StringComparison.Ordinal);
        Assert.Equal(3, fake.Starts);
        Assert.Contains("Trying again (2 of 2).", fake.Progress.ToString(), StringComparison.Ordinal);
        fake.AssertNothingLeft();
    }

    [Fact]
    public async Task An_emulator_that_hangs_is_ended_and_started_again_as_often_as_asked()
    {
        using FakeEmulator fake = new("exec sleep 600");
        LabRunner runner = fake.Runner(StartLimits.Default with { Wall = TimeSpan.FromSeconds(1) });
        await Assert.ThrowsAnyAsync<ApertureException>(
            () => runner.RunAsync(True with { StartRetries = 1 }, NoStreams, TestContext.Current.CancellationToken));
        Assert.Equal(2, fake.Starts);
        fake.AssertNothingLeft();
    }

    [Fact]
    public async Task A_missing_emulator_names_the_package_to_install()
    {
        using FakeEmulator fake = new("");
        LabRunner runner = new(fake.Artifacts, fake.Progress) { Emulator = "no-such-emulator", LockPath = fake.LockPath };
        ApertureException failure = await Assert.ThrowsAnyAsync<ApertureException>(
            () => runner.RunAsync(True, NoStreams, TestContext.Current.CancellationToken));
        Assert.Contains("qemu-system-x86", failure.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', failure.Message);
    }

    [Fact]
    public async Task A_missing_artefact_says_how_to_prepare_it()
    {
        using FakeEmulator fake = new("");
        File.Delete(fake.Artifacts.OuterKernel);
        ApertureException failure = await Assert.ThrowsAnyAsync<ApertureException>(
            () => fake.Runner().RunAsync(True, NoStreams, TestContext.Current.CancellationToken));
        Assert.Contains("./aperture lab prepare", failure.Message, StringComparison.Ordinal);
        Assert.Equal(0, fake.Starts);
    }

    [Theory]
    [InlineData("relative")]
    [InlineData("/")]
    [InlineData("/no/such/directory")]
    public async Task A_writable_directory_that_cannot_be_exported_is_refused_before_anything_starts(string directory)
    {
        using FakeEmulator fake = new("");
        ApertureException failure = await Assert.ThrowsAnyAsync<ApertureException>(() => fake.Runner().RunAsync(
            True with { WritableDirectories = [directory] }, NoStreams, TestContext.Current.CancellationToken));
        Assert.Contains(directory, failure.Message, StringComparison.Ordinal);
        Assert.Equal(ApertureException.ConfigurationError, failure.ExitCode);
        Assert.Equal(0, fake.Starts);
    }

    [Fact]
    public async Task Lab_runs_wait_for_each_other_and_say_so()
    {
        using FakeEmulator fake = new("echo refused >&2; exit 1");
        using StringWriter second = new();
        Task<LabLock> waiting;
        using (await LabLock.AcquireAsync(fake.LockPath, 1, fake.Progress, TestContext.Current.CancellationToken))
        {
            waiting = LabLock.AcquireAsync(fake.LockPath, 1, second, TestContext.Current.CancellationToken);
            await Task.Delay(500, TestContext.Current.CancellationToken);
            Assert.False(waiting.IsCompleted);
        }
        using LabLock turn = await waiting;
        Assert.Contains("waiting", second.ToString(), StringComparison.Ordinal);
        Assert.Equal("", fake.Progress.ToString());
    }
}
