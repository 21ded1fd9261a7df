using System.Diagnostics;
using Aperture.TestPayloads;
using static Iced.Intel.AssemblerRegisters;

namespace Aperture.Cli.Tests;

/// <summary>Standard output and error that are full, closed, or read by somebody who went away.</summary>
public sealed class OutputTests(Scratch scratch) : IClassFixture<Scratch>
{
    private const string Plan = "plan --device test,id=a,addr=04.0,bar0=mem32:64K:ram --memory 256M";

    [Theory]
    [InlineData(Plan, ">/dev/full", "No space left on device")]
    [InlineData(Plan + " --format json", ">/dev/full", "No space left on device")]
    [InlineData(Plan, ">&-", "it is closed")]
    [InlineData("--help", ">/dev/full", "No space left on device")]
    [InlineData("plan --help", ">/dev/full", "No space left on device")]
    public void What_cannot_be_printed_is_told_with_exit_code_3(string arguments, string output, string why) =>
        Shell($"{CommandLine.Program} {arguments} {output}").IsOneSentence(3, "standard output cannot be written", why);

    [Theory]
    [InlineData(Plan + " --output")]
    [InlineData("host --save")]
    public async Task A_pipe_is_written_once_somebody_reads_it(string arguments)
    {
        using TemporaryFolder folder = new();
        string pipe = folder.Pipe("pipe");
        using Process process = new()
        {
            StartInfo = new ProcessStartInfo(CommandLine.Program, [.. arguments.Split(' '), pipe])
            {
                RedirectStandardError = true,
                RedirectStandardOutput = true,
            },
        };
        process.Start();
        string? told = await process.StandardError.ReadLineAsync(TestContext.Current.CancellationToken);
        Assert.Equal($"aperture: {pipe} is a pipe that nobody reads: waiting for a reader.", told);
        Assert.NotEmpty(await File.ReadAllBytesAsync(pipe, TestContext.Current.CancellationToken));
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.Equal(0, process.ExitCode);
    }

    [Theory]
    [InlineData("plan --help")]
    [InlineData("--help")]
    [InlineData("--version")]
    public void Help_that_nobody_can_read_is_no_fault(string arguments) =>
        Assert.Equal(new CommandLine.Result(0, "", ""), Shell($"{CommandLine.Program} {arguments} >&-"));

    [Theory]
    [InlineData("run --help")]
    [InlineData(Plan)]
    public void A_reader_that_has_read_enough_is_no_fault(string arguments)
    {
        // The reader is gone before anything is written.
        CommandLine.Result result = Shell($"(sleep 0.2; exec {CommandLine.Program} {arguments}) | true; echo ${{PIPESTATUS[0]}}");
        Assert.Equal(new CommandLine.Result(0, "0\n", ""), result);
    }

    [Theory]
    [InlineData("2>/dev/full", "nonsense", 2)]
    [InlineData("2>&-", "nonsense", 2)]
    [InlineData(">/dev/full 2>/dev/full", Plan, 3)]
    [InlineData(">&- 2>&- <&-", Plan, 3)]
    public void Without_standard_error_the_exit_code_is_what_is_left(string outputs, string arguments, int code) =>
        Assert.Equal(new CommandLine.Result(code, "", ""), Shell($"{CommandLine.Program} {arguments} {outputs}"));

    [Theory]
    [InlineData(">/dev/full")]
    [InlineData(">&-")]
    [InlineData(">&- 2>&- <&-")]
    [InlineData("<&-")]
    [InlineData("2>/dev/full --events /dev/full")]
    [InlineData("2>&- --events /dev/full")]
    [InlineData("--device debugcon,file=/dev/full --device vga,text=/dev/full")]
    public void A_guest_runs_to_its_end_whatever_its_outputs_do(string outputs)
    {
        RequireKvm();
        CommandLine.Result result = Shell($"{CommandLine.Program} run --firmware {Talks()} --serial stdio --device debug-exit {outputs}");
        Assert.Equal(((5 << 1) | 1, ""), (result.Code, result.Error));
    }

    [Fact]
    public void An_events_file_that_is_full_is_told_and_the_guest_goes_on()
    {
        RequireKvm();
        CommandLine.Result result = Shell($"{CommandLine.Program} run --firmware {Talks()} --serial null --device debug-exit --events /dev/full");
        Assert.Equal((5 << 1) | 1, result.Code);
        Assert.Equal("aperture: events are no longer written to /dev/full: No space left on device", result.Error.TrimEnd('\n').Split(" : '")[0]);
    }

    private static CommandLine.Result Shell(string command) => CommandLine.Start("bash", "-c", command);

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

    // Prints on the serial port and the debug console, then ends the run.
    private string Talks() => scratch.File("talks.rom", RomImage.Protected32(code =>
    {
        foreach (int port in (int[])[0x3F8, 0x402])
        {
            code.mov(edx, port);
            for (int i = 0; i < 100; i++)
            {
                code.mov(al, (byte)(i % 20 == 19 ? '\n' : 'x'));
                code.@out(dx, al);
            }
        }

        code.mov(al, 5);
        code.@out(0xF4, al);
        Iced.Intel.Label here = code.CreateLabel();
        code.Label(ref here);
        code.jmp(here);
    }));
}
