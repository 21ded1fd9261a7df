namespace Aperture.Configuration.Tests;

public class FirmwareVariablesTests
{
    [Theory]
    [InlineData("a,b.fd", "a,b.fd", null)]
    [InlineData("c.fd,vars=v.fd", "c.fd", "FirmwareVariables { Path = v.fd, Template = , Snapshot = False, Source = v.fd }")]
    [InlineData("c.fd,vars=v.fd,template=t.fd", "c.fd", "FirmwareVariables { Path = v.fd, Template = t.fd, Snapshot = False, Source = t.fd }")]
    [InlineData("c.fd,vars=v.fd,snapshot=on", "c.fd", "FirmwareVariables { Path = v.fd, Template = , Snapshot = True, Source = v.fd }")]
    public void The_option_names_code_and_variables(string value, string image, string? variables)
    {
        MachineConfig config = ConfigReader.Read([new("--firmware", value)]);
        Assert.Equal((image, variables), (config.Firmware, config.Variables?.ToString()));
    }
}
