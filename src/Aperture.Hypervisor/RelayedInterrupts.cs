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
    public bool Takes(MsiMessage message) => true;

    /// <inheritdoc/>
    public IMessageRoute? Reserve() => null;

    /// <inheritdoc/>
    public bool TryRoute(ReadOnlySpan<RoutedMessage> changes) => false;

    /// <inheritdoc/>
    public IDisposable? ConnectLevel(EventFd trigger, EventFd resample, uint gsi, uint? isa) => null;
}
