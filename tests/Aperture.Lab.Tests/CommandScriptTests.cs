using System.Diagnostics;
using FsCheck;
using FsCheck.Fluent;

namespace Aperture.Lab.Tests;

public sealed class CommandScriptTests
{
    [Fact]
    public void A_shell_gives_back_every_quoted_word_unchanged()
    {
        Gen<string> word = Gen.Elements('\'', '"', '\\', '$', '`', ' ', '\n', '\t', '*', '!', '~', 'a', 'é').ArrayOf().Select(letters => new string(letters));
        string[] words = [.. Gen.Sample(word, 300, 30)];
        string script = "printf '%s\\0' " + string.Join(' ', words.Select(CommandScript.Quote));
        Assert.Equal(words, Shell(script).Split('\0')[..^1]);
    }

    [Fact]
    public void The_script_sets_directory_and_environment_and_passes_the_exit_code()
    {
        LabRun run = new("/bin/sh", ["-c", "echo \"$PWD|$X|$APERTURE_IN_LAB|$1\"; exit 7", "sh", "a b"])
        {
            WorkingDirectory = "/usr",
            Environment = new Dictionary<string, string> { ["X"] = "it's" },
        };
        Assert.Equal("/usr|it's|1|a b\n", Shell(CommandScript.Build(run), 7));
    }

    [Fact]
    public void A_directory_that_is_gone_ends_the_command_before_it_starts() =>
        Assert.Equal("", Shell(CommandScript.Build(new LabRun("/bin/echo", ["ran"]) { WorkingDirectory = "/no/such" }), 125));

    private static string Shell(string script, int exitCode = 0)
    {
        using Process shell = Process.Start(new ProcessStartInfo("/bin/sh", ["-c", script]) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        string output = shell.StandardOutput.ReadToEnd();
        shell.WaitForExit();
        Assert.Equal(exitCode, shell.ExitCode);
        return output;
    }
}
