namespace Aperture.TestKit.Devices;

/// <summary>A machine that records what it is asked.</summary>
public sealed class FakeMachine : IMachineControl
{
    public List<(MachineRequest Request, int ExitCode)> Requests { get; } = [];

    public void Request(MachineRequest request, int exitCode, string reason)
    {
        Assert.NotEmpty(reason);
        Requests.Add((request, exitCode));
    }
}
