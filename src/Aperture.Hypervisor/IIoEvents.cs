using Aperture.Linux;

namespace Aperture.Hypervisor;

/// <summary>Guest writes that the hypervisor turns into a signal instead of an exit. Thread-safe.</summary>
public interface IIoEvents
{
    /// <summary>Guest writes that match <paramref name="match"/> signal <paramref name="target"/> and do not exit.</summary>
    /// <exception cref="ApertureException">The host refused: such a match is tied already, or there are too many.</exception>
    void AddIoEvent(EventFd target, IoEventMatch match);

    /// <summary>Unties what <see cref="AddIoEvent"/> tied: the writes exit again.</summary>
    /// <exception cref="ApertureException">The host refused.</exception>
    void RemoveIoEvent(EventFd target, IoEventMatch match);
}

/// <summary>Which guest writes an event descriptor takes.</summary>
/// <param name="Address">The guest physical address or port.</param>
/// <param name="Size">1, 2, 4 or 8 bytes; 0 takes every width.</param>
/// <param name="Data">The value written, or null for any.</param>
/// <param name="IsPort">A port rather than memory.</param>
public readonly record struct IoEventMatch(GuestAddress Address, int Size, ulong? Data = null, bool IsPort = false);
