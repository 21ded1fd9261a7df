namespace Aperture.Cli.Tests;

public class HelpTests
{
    private static string[] Verbs() => [.. CommandLine.Run("--help").Output.Split('\n')
        .SkipWhile(l => l != "Verbs:").Skip(1).TakeWhile(l => l.Length > 0).Where(l => l[2] != ' ').Select(l => l.Trim().Split("  ")[0])];

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
    public void Help_has_lines_of_at_most_80_characters_but_for_the_command_to_copy()
    {
        foreach (string verb in Verbs().Append(""))
        {
            string[] lines = CommandLine.Run([.. verb.Split(' ', StringSplitOptions.RemoveEmptyEntries), "--help"]).Output.Split('\n');
            Assert.All(lines.TakeWhile(l => l != "Example:"),
                line => Assert.True(line.Length <= 80 || !line.Trim().Contains(' ', StringComparison.Ordinal), line));
        }
    }

    [Fact]
    public void Run_explains_every_key_of_every_device_under_its_heading()
    {
        string help = CommandLine.Run("run", "--help").Output;
        Assert.All(Aperture.Configuration.Kinds.DeviceKinds.All, kind =>
        {
            Assert.Contains($"      {kind.Word}: ", help, StringComparison.Ordinal);
            Assert.All(kind.Table.Entries.Where(e => e.Help.Length > 0), e => Assert.Contains($"        {e.Shown}={e.Form}", help, StringComparison.Ordinal));
        });
        Assert.All(["What the guest starts:", "Devices:", "The address map:", "Files, consoles, how to run:"],
            title => Assert.Contains("\n" + title + "\n", help, StringComparison.Ordinal));
    }

    [Fact]
    public void The_version_is_told() => Assert.Matches(@"^aperture \d+\.\d+\.\d+\n$", CommandLine.Run("--version").Output);
}
