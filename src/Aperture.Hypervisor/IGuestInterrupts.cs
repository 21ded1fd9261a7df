using Aperture.Linux;

namespace Aperture.Hypervisor;

/// <summary>The guest's interrupt controllers, as an assigned device needs them: delivery in the kernel, without this process. Thread-safe.</summary>
public interface IGuestInterrupts
{
    /// <summary>
    /// Delivers <paramref name="message"/> whenever <paramref name="trigger"/> is signalled. Null when the hypervisor has no route left; the caller then
    /// delivers by itself.
    /// </summary>
    IMessageRoute? Connect(EventFd trigger, MsiMessage message);

    /// <summary>
    /// Raises the level-triggered input <paramref name="gsi"/> whenever <paramref name="trigger"/> is signalled; at the guest's end-of-interrupt the
    /// input falls and <paramref name="resample"/> is signalled. Null when the hypervisor cannot; dispose to disconnect.
    /// </summary>
    IDisposable? ConnectLevel(EventFd trigger, EventFd resample, uint gsi);
}

/// <summary>A trigger tied to a message. Disposing unties it and frees the route.</summary>
public interface IMessageRoute : IDisposable
{
    /// <summary>Delivers another message from now on.</summary>
    void Change(MsiMessage message);
}
