namespace Aperture.Lab.Tests;

/// <summary>Real runs of the software-emulated machine.</summary>
public sealed class LabMachineTests
{
    private static readonly LabArtifacts Artifacts = LabArtifacts.Locate();

    private static LabRunner Runner() => new(Artifacts, Console.Error);

    private static void SkipUnlessReady()
    {
        Assert.SkipUnless(Artifacts.HasOuter, $"the lab's kernel is not in {Artifacts.Folder}: run ./aperture lab prepare");
        Assert.SkipUnless(FakeEmulator.InPath(LabPlatform.X86.Emulator), "qemu-system-x86_64 is not installed");
    }

    private static LabRun Shell(string script, params string[] arguments) =>
        new("/bin/sh", ["-c", script, "sh", .. arguments]) { Timeout = TimeSpan.FromMinutes(2), WorkingDirectory = "/usr" };

    [Fact]
    public async Task The_Lab_returns_the_exit_code_and_keeps_arguments_streams_and_working_directory()
    {
        SkipUnlessReady();
        LabRun run = Shell(
            """
            for a; do printf '<%s>' "$a"; done; pwd; echo "$APERTURE_IN_LAB $WORD" >&2
            test -c /dev/kvm && grep -q "48 bits physical" /proc/cpuinfo && exit 42
            """,
            "two words", "it's", "a$b\"c", "", "line\nbreak") with
        {
            Environment = new Dictionary<string, string> { ["WORD"] = "x 'y'" },
        };
        LabResult result = await Runner().CaptureAsync(run, cancellation: TestContext.Current.CancellationToken);
        Assert.Equal(42, result.ExitCode);
        Assert.Equal("<two words><it's><a$b\"c><><line\nbreak>/usr\n", result.Output);
        Assert.Equal("1 x 'y'\n", result.Error);
    }

    [Fact]
    public async Task The_Lab_passes_every_byte_of_input_and_output_and_writes_only_to_exports()
    {
        SkipUnlessReady();
        using TemporaryFolder scratch = new(" lab,test");
        string export = Directory.CreateDirectory(Path.Combine(scratch.Path, "export")).FullName;
        string other = Directory.CreateDirectory(Path.Combine(scratch.Path, "other")).FullName;
        byte[] input = new byte[300_000];
        new Random(1).NextBytes(input);
        using MemoryStream source = new(input);
        using MemoryStream output = new();
        using MemoryStream error = new();
        LabRun run = Shell("""cat; echo kept >"$1/file"; echo lost >"$2/file" && cat "$2/file" >&2""", export, other) with
        {
            WritableDirectories = [export],
        };
        int code = await Runner().RunAsync(run, new LabStreams(source, output, error), TestContext.Current.CancellationToken);
        Assert.Equal(0, code);
        Assert.True(output.ToArray().AsSpan().SequenceEqual(input), $"{output.Length} bytes came back of {input.Length}");
        Assert.Equal("kept\n", File.ReadAllText(Path.Combine(export, "file")));
        Assert.Equal("lost\n", System.Text.Encoding.UTF8.GetString(error.ToArray()));
        Assert.False(File.Exists(Path.Combine(other, "file")));
    }

    [Fact]
    public async Task A_Lab_command_that_runs_too_long_is_ended_and_repeated_as_asked()
    {
        SkipUnlessReady();
        using StringWriter progress = new();
        LabRunner runner = new(Artifacts, progress);
        ApertureException failure = await Assert.ThrowsAnyAsync<ApertureException>(
            () => runner.CaptureAsync(Shell("sleep 600") with { Timeout = TimeSpan.FromSeconds(1) }, retries: 1, TestContext.Current.CancellationToken));
        Assert.Contains("did not end within 1 s", failure.Message, StringComparison.Ordinal);
        Assert.Equal(2, progress.ToString().Split("L1 up after").Length - 1);
        Assert.Contains("Trying again (1 of 1)", progress.ToString(), StringComparison.Ordinal);
    }
}
