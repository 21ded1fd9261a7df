using Aperture.Linux;

namespace Aperture.Hypervisor;

/// <summary>The guest's interrupt controllers, as an assigned device needs them: delivery in the kernel, without this process. Thread-safe.</summary>
public interface IGuestInterrupts
{
    /// <summary>
    /// True when a controller takes <paramref name="message"/>. One that none takes is no interrupt: it gets no route, and whoever sends it counts it.
    /// </summary>
    bool Takes(MsiMessage message);

    /// <summary>Takes a route for messages. Null when the hypervisor has none left; the caller then delivers by itself.</summary>
    IMessageRoute? Reserve();

    /// <summary>
    /// Gives routes their messages, all in one step: a hypervisor may only take whole tables. False when it refuses; those routes are then of no use.
    /// </summary>
    bool TryRoute(ReadOnlySpan<RoutedMessage> changes);

    /// <summary>
    /// Raises the level-triggered input <paramref name="gsi"/> whenever <paramref name="trigger"/> is signalled; at the guest's end-of-interrupt the
    /// input falls and <paramref name="resample"/> is signalled. With <paramref name="isa"/> it raises that input of the 8259s as well. Null when the
    /// hypervisor cannot; dispose to disconnect.
    /// </summary>
    IDisposable? ConnectLevel(EventFd trigger, EventFd resample, uint gsi, uint? isa);
}

/// <summary>A way to the guest's controllers that carries one message, whether something is tied to it or not. Disposing unties and frees it.</summary>
public interface IMessageRoute : IDisposable
{
    /// <summary>
    /// Delivers the message, which the route has been given, whenever <paramref name="trigger"/> is signalled. False when the hypervisor cannot.
    /// </summary>
    bool TryConnect(EventFd trigger);

    /// <summary>Unties the trigger, which counts by itself from here on. The route and its message stay.</summary>
    void Disconnect();
}

/// <summary>A message for a route.</summary>
/// <param name="Route">A route of the hypervisor that is asked.</param>
/// <param name="Message">What it carries from now on.</param>
public readonly record struct RoutedMessage(IMessageRoute Route, MsiMessage Message)
{
    /// <summary>Who sends it, as the guest sees that function: a GIC's ITS translates by it, a PC's controllers do not look.</summary>
    public Bdf Requester { get; init; }
}
