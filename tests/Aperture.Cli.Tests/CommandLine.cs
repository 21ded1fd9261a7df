using System.Diagnostics;

namespace Aperture.Cli.Tests;

/// <summary>Runs the built <c>aperture</c> as users do: a process, its two outputs, its exit code.</summary>
internal static class CommandLine
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    public static string Program { get; } = Path.Combine(AppContext.BaseDirectory, "aperture");

    /// <summary>What a process left.</summary>
    public sealed record Result(int Code, string Output, string Error)
    {
        /// <summary>One line on standard error, nothing on standard output, no stack trace, and all <paramref name="fragments"/> in it.</summary>
        public void IsOneSentence(int code, params string[] fragments)
        {
            Assert.True(Code == code, $"exit code {Code}: {Error}");
            Assert.Equal("", Output);
            Assert.StartsWith("aperture: ", Error, StringComparison.Ordinal);
            Assert.True(Error.IndexOf('\n', StringComparison.Ordinal) == Error.Length - 1, $"not one line: {Error}");
            Assert.DoesNotContain("Exception", Error, StringComparison.Ordinal);
            Assert.All(fragments, fragment => Assert.Contains(fragment, Error, StringComparison.Ordinal));
        }
    }

    public static Result Run(params string[] arguments) => Start(Program, arguments);

    public static Result Start(string program, params string[] arguments)
    {
        using Process process = new()
        {
            StartInfo = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true },
        };
        process.Start();
        process.StandardInput.Close();
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        Task<string> error = process.StandardError.ReadToEndAsync();
        if (!process.WaitForExit(Patience))
        {
            process.Kill(entireProcessTree: true);
            process.WaitForExit();
            Assert.Fail($"{program} {string.Join(' ', arguments)} did not end");
        }

        return new Result(process.ExitCode, output.GetAwaiter().GetResult(), error.GetAwaiter().GetResult());
    }
}
