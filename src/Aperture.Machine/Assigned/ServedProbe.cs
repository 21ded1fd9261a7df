using System.Text.Json;
using Aperture.Assignment;
using Aperture.Configuration.Kinds;
using Aperture.VfioUser.Client;

namespace Aperture.Machine.Assigned;

/// <summary>Asks servers of devices for the BARs that a map has to have room for.</summary>
internal static class ServedProbe
{
    /// <summary>Connects, reads the BARs, and is gone: the server has no client then, as before.</summary>
    /// <exception cref="ApertureException">Nobody serves a PCI device there.</exception>
    public static IReadOnlyList<DeviceBar> Ask(VfioUserSpec spec)
    {
        using VfioUserDevice device = VfioUserDevice.Connect(spec.Socket, Nobody.Instance, options: new ClientOptions { TwinSocket = false });
        return DeviceBars.Read(device);
    }

    // A server that dies meanwhile fails the question that it is asked.
    private sealed class Nobody : IEventSink
    {
        public static Nobody Instance { get; } = new();

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
