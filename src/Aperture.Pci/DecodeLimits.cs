namespace Aperture.Pci;

/// <summary>A range that no BAR may take.</summary>
/// <param name="Range">The addresses.</param>
/// <param name="Name">What is there: RAM, ECAM, LAPIC...</param>
public sealed record DecodeObstacle(AddressRange Range, string Name);

/// <summary>What the host bridge lets a BAR decode: its windows, and what wins over BARs. Immutable; make a new one when RAM or the ECAM window moves.</summary>
public sealed class DecodeLimits
{
    private readonly AddressRange[] memoryWindows;
    private readonly AddressRange[] ioWindows;
    private readonly DecodeObstacle[] reservedMemory;
    private readonly DecodeObstacle[] reservedIo;

    /// <summary>Makes the limits. Windows may touch: a BAR may lie across two of them.</summary>
    public DecodeLimits(
        IEnumerable<AddressRange> memoryWindows,
        IEnumerable<AddressRange> ioWindows,
        IEnumerable<DecodeObstacle> reservedMemory,
        IEnumerable<DecodeObstacle>? reservedIo = null)
    {
        this.memoryWindows = [.. memoryWindows];
        this.ioWindows = [.. ioWindows];
        this.reservedMemory = [.. reservedMemory];
        this.reservedIo = [.. reservedIo ?? []];
    }

    /// <summary>The host bridge's memory windows.</summary>
    public IReadOnlyList<AddressRange> MemoryWindows => memoryWindows;

    /// <summary>The host bridge's I/O windows.</summary>
    public IReadOnlyList<AddressRange> IoWindows => ioWindows;

    /// <summary>Memory that wins over BARs.</summary>
    public IReadOnlyList<DecodeObstacle> ReservedMemory => reservedMemory;

    /// <summary>Ports that win over BARs.</summary>
    public IReadOnlyList<DecodeObstacle> ReservedIo => reservedIo;

    internal ReadOnlySpan<AddressRange> Windows(bool io) => io ? ioWindows : memoryWindows;

    internal ReadOnlySpan<DecodeObstacle> Reserved(bool io) => io ? reservedIo : reservedMemory;
}
