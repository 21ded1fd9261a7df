using System.Diagnostics;

namespace Aperture.Cli.Tests;

public class CompletionTests
{
    private static string[] Complete(string line) => CommandLine.Run("completion", "--line", line).Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);

    [Theory]
    [InlineData("aperture ru", "run ")]
    [InlineData("aperture lab r", "run ")]
    [InlineData("aperture run --kern", "--kernel ")]
    [InlineData("aperture run --device di", "disk")]
    [InlineData("aperture run --device disk,file=x,read", "disk,file=x,readonly=")]
    [InlineData("aperture run --device disk,readonly=of", "disk,readonly=off")]
    [InlineData("aperture run --device=vg", "--device=vga")]
    [InlineData("aperture run --root-port id=rp0,pre", "id=rp0,prefetchable=")]
    [InlineData("aperture run --accel k", "kvm ")]
    [InlineData("aperture plan --format=s", "--format=svg ")]
    [InlineData("aperture attach --device test,id=a,port=rp0 --dev", "--device ")]
    [InlineData("aperture run --kernel x", "\tfiles")]
    [InlineData("aperture run --device disk,file=", "\tfiles")]
    public void What_is_typed_has_one_way_to_go_on(string line, string candidate) => Assert.Equal([candidate], Complete(line));

    [Fact]
    public void A_key_that_was_given_is_not_offered_again()
    {
        string[] offered = Complete("aperture run --device test,id=a,");
        Assert.Contains("test,id=a,msix=", offered);
        Assert.DoesNotContain("test,id=a,id=", offered);
    }

    [Fact]
    public void Bash_completes_a_word_behind_an_equals_sign()
    {
        string folder = Path.GetDirectoryName(CommandLine.Program)!;
        string script = $"""
            PATH={folder}:$PATH
            source <(aperture completion bash)
            complete -p aperture >&2 || exit 9
            COMP_LINE="aperture run --device disk,file=x,rea" COMP_POINT=37
            _aperture
            echo "$COMPREPLY"
            """;
        using Process bash = Process.Start(new ProcessStartInfo("bash", ["-c", script]) { RedirectStandardOutput = true })!;
        string output = bash.StandardOutput.ReadToEnd();
        bash.WaitForExit();
        Assert.Equal((0, "x,readonly=\n"), (bash.ExitCode, output));
    }

    [Theory]
    [InlineData("'fish' is not a shell", "completion", "fish")]
    [InlineData("completion needs a shell", "completion")]
    public void Another_shell_is_refused(string words, params string[] arguments) => CommandLine.Run(arguments).IsOneSentence(2, words);

    [Fact]
    public void Zsh_is_given_a_function_that_asks_the_program() =>
        Assert.Contains("aperture completion --line", CommandLine.Run("completion", "zsh").Output, StringComparison.Ordinal);
}
