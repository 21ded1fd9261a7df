using System.Diagnostics;

namespace Aperture.Cli.Tests;

/// <summary>Whole runs on this machine's KVM.</summary>
public sealed class RunTests(Scratch scratch) : IClassFixture<Scratch>
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private static void RequireKvm()
    {
        try
        {
            Kvm.KvmSystem.Open().Dispose();
        }
        catch (ApertureException failure)
        {
            Assert.Skip(failure.Message);
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(0x10)]
    public void The_exit_code_is_the_guests_and_nothing_is_printed(byte value)
    {
        RequireKvm();
        Assert.Equal(
            new CommandLine.Result((value << 1) | 1, "", ""),
            CommandLine.Run("run", "--firmware", scratch.Exits(value), "--serial", "stdio", "--device", "debug-exit"));
    }

    [Theory]
    [InlineData("INT", 130)]
    [InlineData("TERM", 143)]
    [InlineData("HUP", 129)]
    public async Task A_signal_ends_the_run_with_its_code_after_all_output_is_written(string signal, int code)
    {
        RequireKvm();
        using Process run = new()
        {
            StartInfo = new ProcessStartInfo(CommandLine.Program, ["run", "--firmware", scratch.Spins(), "--serial", "stdio"])
            {
                RedirectStandardOutput = true,
                RedirectStandardInput = true,
            },
        };
        run.Start();
        await ExpectReady(run);
        CommandLine.Start("kill", "-" + signal, $"{run.Id}");
        End(run);
        Assert.Equal(code, run.ExitCode);
    }

    [Theory]
    [InlineData("INT", 130)]
    [InlineData("TERM", 143)]
    public async Task A_wait_for_who_reads_a_pipe_is_told_and_ended_by_a_signal(string signal, int code)
    {
        RequireKvm();
        using TemporaryFolder folder = new();
        string pipe = folder.Pipe("pipe");
        using Process run = new()
        {
            StartInfo = new ProcessStartInfo(CommandLine.Program, ["run", "--firmware", scratch.Spins(), "--serial", $"file={pipe}"])
            {
                RedirectStandardError = true,
            },
        };
        run.Start();
        string? told = await run.StandardError.ReadLineAsync(TestContext.Current.CancellationToken);
        Assert.Equal($"aperture: {pipe} is a pipe that nobody reads: waiting for a reader.", told);
        CommandLine.Start("kill", "-" + signal, $"{run.Id}");
        End(run);
        Assert.Equal((code, ""), (run.ExitCode, await run.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken)));
    }

    [Fact]
    public async Task A_guest_whose_output_nobody_reads_is_ended_by_a_signal()
    {
        RequireKvm();
        using Process run = new()
        {
            StartInfo = new ProcessStartInfo(CommandLine.Program, ["run", "--firmware", scratch.Floods(), "--serial", "stdio"])
            {
                RedirectStandardOutput = true,
                RedirectStandardInput = true,
            },
        };
        run.Start();
        char[] first = new char[1];
        Assert.Equal(1, await run.StandardOutput.ReadAsync(first, TestContext.Current.CancellationToken));

        // Long enough for the pipe and the ring behind it to be full.
        await Task.Delay(2000, TestContext.Current.CancellationToken);
        CommandLine.Start("kill", "-TERM", $"{run.Id}");
        End(run);
        Assert.Equal(143, run.ExitCode);
    }

    [Theory]
    [InlineData("INT", 130)]
    [InlineData("TERM", 143)]
    [InlineData("HUP", 129)]
    [InlineData("key", 0)]
    public async Task The_terminal_is_raw_while_the_guest_has_it_and_as_before_afterwards(string way, int code)
    {
        RequireKvm();
        Assert.SkipUnless(File.Exists("/usr/bin/script") && File.Exists("/usr/bin/stty"), "a terminal needs script (bsdutils) and stty");
        string folder = scratch.Path("tty-" + way);
        Directory.CreateDirectory(folder);
        string inner = $"cd {folder}; stty -g > before; tty > tty; sh -c 'echo $$ > pid; exec {CommandLine.Program} run --firmware {scratch.Spins()}'; echo $? "
            + "> code; stty -g > after";
        using Process terminal = new()
        {
            StartInfo = new ProcessStartInfo("script", ["-qec", inner, "/dev/null"]) { RedirectStandardInput = true, RedirectStandardOutput = true },
        };
        terminal.Start();
        await ExpectReady(terminal);
        Assert.True(IsRaw(folder), "the terminal is not raw");
        if (way == "key")
        {
            terminal.StandardInput.Write("\u0001x");
            terminal.StandardInput.Flush();
        }
        else
        {
            CommandLine.Start("kill", "-" + way, File.ReadAllText(Path.Combine(folder, "pid")).Trim());
        }

        End(terminal);
        Assert.Equal($"{code}", File.ReadAllText(Path.Combine(folder, "code")).Trim());
        Assert.Equal(File.ReadAllText(Path.Combine(folder, "before")), File.ReadAllText(Path.Combine(folder, "after")));
    }

    private static bool IsRaw(string folder)
    {
        string tty = File.ReadAllText(Path.Combine(folder, "tty")).Trim();
        return CommandLine.Start("stty", "-F", tty, "-a").Output.Contains("-icanon", StringComparison.Ordinal);
    }

    private static async Task ExpectReady(Process process)
    {
        try
        {
            Assert.Equal("ready", await process.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken).AsTask()
                .WaitAsync(Patience, TestContext.Current.CancellationToken));
        }
        catch
        {
            process.Kill(entireProcessTree: true);
            throw;
        }
    }

    private static void End(Process process)
    {
        if (!process.WaitForExit(Patience))
        {
            process.Kill(entireProcessTree: true);
            process.WaitForExit();
            Assert.Fail("it did not end");
        }
    }
}
