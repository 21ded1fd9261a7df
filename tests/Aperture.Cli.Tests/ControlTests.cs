namespace Aperture.Cli.Tests;

/// <summary>The verbs that talk to a running machine, where none runs or the question is wrong.</summary>
public sealed class ControlTests(Scratch scratch) : IClassFixture<Scratch>
{
    [Theory]
    [InlineData("Which machine? Give --control PATH", "verify")]
    [InlineData("--format xml is not a way to print differences", "verify", "--control", "x", "--format", "xml")]
    [InlineData("Which machine? Give --control PATH", "map")]
    [InlineData("--format xml is not a way to print a map", "map", "--control", "x", "--format", "xml")]
    [InlineData("attach needs --device", "attach", "--control", "x")]
    [InlineData("detach needs the device's id", "detach", "--control", "x")]
    [InlineData("'b' is not an option of detach", "detach", "--control", "x", "a", "b")]
    [InlineData("--wait long is not a number of seconds", "detach", "--control", "x", "a", "--wait", "long")]
    [InlineData("memory=much is not room", "plan", "--root-port", "id=a,memory=much")]
    [InlineData("the same window", "plan", "--root-port", "id=a", "--switch", "id=s,port=a,memory=0xe0000000:16M")]
    public void A_question_that_is_wrong_is_told(string fault, params string[] arguments) => CommandLine.Run(arguments).IsOneSentence(2, fault);

    [Theory]
    [InlineData("verify")]
    [InlineData("map")]
    [InlineData("attach", "--device", "test,id=a,port=rp0")]
    [InlineData("attach", "--device", "test,id=a,port=rp0", "--device", "test,id=b")]
    [InlineData("detach", "a")]
    public void A_machine_that_does_not_run_is_told_with_exit_code_3(params string[] arguments) =>
        CommandLine.Run([.. arguments, "--control", scratch.Path("none.sock")]).IsOneSentence(3, "No machine answers at --control", "aperture run --control");

    [Fact]
    public void Room_that_a_port_keeps_shows_in_the_plan()
    {
        CommandLine.Result result = CommandLine.Run("plan", "--root-port", "id=rp0,memory=0xe8000000:16M,prefetchable=1G,io=4K,buses=2", "--format", "json");
        Assert.Equal(0, result.Code);
        Assert.Contains("0xe8000000", result.Output, StringComparison.Ordinal);
    }
}
