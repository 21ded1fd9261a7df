namespace Aperture.Cli.Tests;

public class HelpTests
{
    private static string[] Verbs() => [.. CommandLine.Run("--help").Output.Split('\n')
        .SkipWhile(l => l != "Verbs:").Skip(1).TakeWhile(l => l.Length > 0).Select(l => l.Trim().Split("  ")[0])];

    [Fact]
    public void Every_verb_has_a_help_page_with_its_options_and_an_example()
    {
        string[] verbs = Verbs();
        Assert.Contains("run", verbs);
        foreach (string verb in verbs)
        {
            CommandLine.Result help = CommandLine.Run([.. verb.Split(' '), "--help"]);
            Assert.Equal((0, ""), (help.Code, help.Error));
            Assert.Contains($"Usage: aperture {verb}", help.Output, StringComparison.Ordinal);
            Assert.Contains("Example:", help.Output, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData]
    [InlineData("-h")]
    [InlineData("help")]
    public void Help_needs_no_verb(params string[] arguments) =>
        Assert.Equal(CommandLine.Run("--help"), CommandLine.Run(arguments));

    [Fact]
    public void Run_names_every_option_of_a_machine()
    {
        string help = CommandLine.Run("run", "-h").Output;
        string[] options =
        [
            "--kernel", "--initramfs", "--cmdline", "--firmware", "--cpus", "--memory", "--machine", "--device", "--root-port", "--switch",
            "--serial", "--events", "--accel", "--mmio-window", "--mmio32-window", "--no-reboot",
        ];
        Assert.All(options, option => Assert.Contains(option, help, StringComparison.Ordinal));
    }

    [Fact]
    public void The_version_is_told() => Assert.Matches(@"^aperture \d+\.\d+\.\d+\n$", CommandLine.Run("--version").Output);
}
