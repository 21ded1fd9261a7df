using System.Text.Json;
using Aperture.Mediation;
using Aperture.Mediation.Mediators;
using Aperture.VfioUser.Server;

namespace Aperture.Machine.Tests.Fakes;

/// <summary>
/// A test device (docs/test-device.md) that this process serves at a socket as <c>aperture mediate</c> does; the server can go and come back.
/// </summary>
internal sealed class ServedTestDevice : IDisposable
{
    public const ushort Vendor = 0xA9E7;

    /// <summary>Bytes of the memory in BAR 2.</summary>
    public const uint Memory = 0x1_0000;

    /// <summary>Where the MSI-X table is in BAR 0, and the capability in configuration space.</summary>
    public const uint MsixTable = 0x2000;
    public const byte MsixCapability = 0x40;

    private readonly TemporaryFolder _folder = new();
    private MediationHost? _host;

    public ServedTestDevice() => Start();

    public string Socket => Path.Join(_folder.Path, "a.sock");

    /// <summary>The option that gives it to a guest.</summary>
    public string Option(string more = "addr=04.0") => $"vfio-user,socket={Socket},id=served,{more}";

    public void Start(ulong memory = Memory, ServerLimits? limits = null)
    {
        _host = new MediationHost(new TestMediator(memory), Silent.Instance, limits);
        _host.Listen(Socket);
    }

    public void Stop()
    {
        _host?.Dispose();
        _host = null;
    }

    public void Dispose()
    {
        Stop();
        _folder.Dispose();
    }

    private sealed class Silent : IEventSink
    {
        public static Silent Instance { get; } = new();

        public bool Enabled => false;

        public TimeSpan Elapsed => TimeSpan.Zero;

        public void Write(string kind, Action<Utf8JsonWriter>? fields = null)
        {
        }

        public void Notice(string kind, string sentence, Action<Utf8JsonWriter>? fields = null)
        {
        }
    }
}
