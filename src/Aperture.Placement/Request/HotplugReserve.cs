namespace Aperture.Placement.Request;

/// <summary>
/// What a port keeps free for devices that come later. Each value is a least size for the whole window, content included, so a port whose
/// device already needs more keeps no more than that. A window with a reserve starts at a multiple of the largest power of two in it,
/// so that one BAR of that size fits, unless pins inside hold it elsewhere.
/// </summary>
public sealed record HotplugReserve
{
    /// <summary>Bus numbers behind the secondary bus.</summary>
    public int Buses { get; init; }

    /// <summary>Bytes of I/O ports; counts in units of 4 KiB.</summary>
    public ulong Io { get; init; }

    /// <summary>Bytes of the memory window, below 4 GiB; counts in units of 1 MiB.</summary>
    public ulong Memory { get; init; }

    /// <summary>Bytes of the prefetchable window; counts in units of 1 MiB.</summary>
    public ulong Prefetchable { get; init; }
}
