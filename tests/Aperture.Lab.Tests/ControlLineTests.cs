namespace Aperture.Lab.Tests;

public sealed class ControlLineTests
{
    [Fact]
    public void The_three_lines_of_the_protocol_parse()
    {
        Assert.Equal(new ControlLine(ControlKind.Up, 0, "1.19"), ControlLine.Parse("up 1.19"));
        Assert.Equal(new ControlLine(ControlKind.Exit, 42, "42"), ControlLine.Parse("exit 42"));
        Assert.Equal(new ControlLine(ControlKind.Failed, 0, "no port here"), ControlLine.Parse("failed no port here\r"));
    }

    [Theory]
    [InlineData("")]
    [InlineData("exit")]
    [InlineData("exit -1")]
    [InlineData("exit 256")]
    [InlineData("exit 99999999999")]
    [InlineData("Up 1")]
    public void Anything_else_is_unknown(string line) => Assert.Equal(ControlKind.Unknown, ControlLine.Parse(line).Kind);
}
