using Aperture.Configuration;
using Aperture.Kvm;

namespace Aperture.Machine.Tests.Guests;

/// <summary>Tests with a virtual machine on this host's KVM; alone, one after the other.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class LocalKvm
{
    public const string Name = "local KVM";
}

/// <summary>Runs a payload as <c>aperture run --firmware</c> does.</summary>
internal sealed class Guest : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly TemporaryFolder _folder = new();

    public Guest(byte[] image, params string[] options)
    {
        RequireKvm();
        string path = Path.Combine(_folder.Path, "payload.rom");
        File.WriteAllBytes(path, image);
        try
        {
            Machine = Create(path, options);
        }
        catch
        {
            _folder.Dispose();
            throw;
        }
    }

    public VirtualMachine Machine { get; }

    public string EventsPath => Path.Combine(_folder.Path, "events");

    public IReadOnlyList<string> Events => File.ReadAllLines(EventsPath);

    private VirtualMachine Create(string image, string[] options) =>
        VirtualMachine.Create(
            ConfigReader.Read(
            [
                new("--firmware", image), new("--serial", "null"), new("--memory", "16M"), new("--device", "debug-exit"), new("--events", EventsPath),
                .. options.Select(o => o.Split(' ', 2)).Select(o => new Setting(o[0], o.Length > 1 ? o[1] : "")),
            ]),
            TimeProvider.System);

    public static void RequireKvm()
    {
        try
        {
            KvmSystem.Open().Dispose();
        }
        catch (ApertureException failure)
        {
            Assert.Skip(failure.Message);
        }
    }

    /// <summary>Runs to the end, which a watchdog makes if the guest does not.</summary>
    public MachineOutcome Run()
    {
        using Timer watchdog = new(_ => Machine.Stop("the guest was not done in time"), null, Patience, Timeout.InfiniteTimeSpan);
        return Machine.Run();
    }

    public static void Succeeds(byte[] image, params string[] options)
    {
        using Guest guest = new(image, options);
        Assert.Equal(new MachineOutcome(Payload.Success, "the guest wrote the debug-exit port"), guest.Run());
    }

    public void Dispose()
    {
        Machine.Dispose();
        _folder.Dispose();
    }
}
