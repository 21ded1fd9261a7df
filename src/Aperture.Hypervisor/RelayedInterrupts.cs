using Aperture.Linux;

namespace Aperture.Hypervisor;

/// <summary>For a VM without <see cref="IVm.EventInterrupts"/>: nothing is tied, so whoever asks delivers by itself.</summary>
public sealed class RelayedInterrupts : IGuestInterrupts
{
    private RelayedInterrupts()
    {
    }

    /// <summary>The one there is.</summary>
    public static RelayedInterrupts Instance { get; } = new();

    /// <inheritdoc/>
    public IMessageRoute? Connect(EventFd trigger, MsiMessage message) => null;

    /// <inheritdoc/>
    public IDisposable? ConnectLevel(EventFd trigger, EventFd resample, uint gsi) => null;
}
