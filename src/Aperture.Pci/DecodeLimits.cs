namespace Aperture.Pci;

/// <summary>A range that no BAR may take.</summary>
/// <param name="Range">The addresses.</param>
/// <param name="Name">What is there: RAM, ECAM, LAPIC...</param>
public sealed record DecodeObstacle(AddressRange Range, string Name);

/// <summary>
/// What the host bridge lets a BAR decode: its windows, and what wins over BARs. Immutable; make a new one when RAM or the ECAM window moves.
/// </summary>
public sealed class DecodeLimits
{
    private readonly AddressRange[] _memoryWindows;
    private readonly AddressRange[] _ioWindows;
    private readonly DecodeObstacle[] _reservedMemory;
    private readonly DecodeObstacle[] _reservedIo;

    /// <summary>Makes the limits. Windows may touch: a BAR may lie across two of them.</summary>
    public DecodeLimits(
        IEnumerable<AddressRange> memoryWindows,
        IEnumerable<AddressRange> ioWindows,
        IEnumerable<DecodeObstacle> reservedMemory,
        IEnumerable<DecodeObstacle>? reservedIo = null)
    {
        _memoryWindows = [.. memoryWindows];
        _ioWindows = [.. ioWindows];
        _reservedMemory = [.. reservedMemory];
        _reservedIo = [.. reservedIo ?? []];
    }

    /// <summary>The host bridge's memory windows.</summary>
    public IReadOnlyList<AddressRange> MemoryWindows => _memoryWindows;

    /// <summary>Memory that wins over BARs.</summary>
    public IReadOnlyList<DecodeObstacle> ReservedMemory => _reservedMemory;

    /// <summary>True when all of <paramref name="range"/> is in the host bridge's windows and nothing that wins over BARs is there.</summary>
    /// <param name="range">The addresses; not empty.</param>
    /// <param name="io">I/O ports rather than memory.</param>
    public bool Allows(AddressRange range, bool io)
    {
        foreach (DecodeObstacle reserved in Reserved(io))
        {
            if (reserved.Range.Overlaps(range))
            {
                return false;
            }
        }

        return Coverage.Covers(Windows(io), range);
    }

    internal ReadOnlySpan<AddressRange> Windows(bool io) => io ? _ioWindows : _memoryWindows;

    internal ReadOnlySpan<DecodeObstacle> Reserved(bool io) => io ? _reservedIo : _reservedMemory;
}
