namespace Aperture.Pci;

/// <summary>A BAR that decodes.</summary>
/// <param name="Function">The function.</param>
/// <param name="Bar">The BAR; its kind says whether the range is memory or I/O.</param>
/// <param name="Range">The addresses it takes.</param>
public readonly record struct DecodedBar(PciFunction Function, Bar Bar, AddressRange Range);

/// <summary>Why a BAR does not decode.</summary>
public enum DecodeRefusal : byte
{
    /// <summary>The function's command bit for the space is off.</summary>
    NotEnabled,

    /// <summary>The ROM's own enable bit is off.</summary>
    RomDisabled,

    /// <summary>The function is not in D0.</summary>
    PowerState,

    /// <summary>The address is 0: unassigned.</summary>
    AddressZero,

    /// <summary>The range wraps, or has bit 63 set.</summary>
    Wraps,

    /// <summary>A bridge above does not forward it: <see cref="RefusedBar.Obstacle"/> names the bridge.</summary>
    NotForwarded,

    /// <summary>It is not inside the host bridge's windows.</summary>
    OutsideHostWindows,

    /// <summary>It touches a range that wins over BARs: <see cref="RefusedBar.Obstacle"/> names it.</summary>
    Reserved,

    /// <summary>It overlaps a BAR that decodes: <see cref="RefusedBar.Other"/>.</summary>
    Conflict,
}

/// <summary>A BAR that does not decode, and why.</summary>
/// <param name="Function">The function.</param>
/// <param name="Bar">The BAR.</param>
/// <param name="Range">Where it would be; null when that is no range.</param>
/// <param name="Reason">The first reason that holds, in the order of the enumeration.</param>
/// <param name="Other">The BAR in the way of a <see cref="DecodeRefusal.Conflict"/>.</param>
/// <param name="Obstacle">The name of the bridge, or of the reserved range, in the way.</param>
public readonly record struct RefusedBar(
    PciFunction Function, Bar Bar, AddressRange? Range, DecodeRefusal Reason, DecodedBar? Other = null, string? Obstacle = null);

/// <summary>A range that no BAR may take.</summary>
/// <param name="Range">The addresses.</param>
/// <param name="Name">What is there: RAM, ECAM, LAPIC...</param>
public readonly record struct ReservedRange(AddressRange Range, string Name);

/// <summary>What the host bridge lets a BAR decode: its windows, and what wins over BARs. Immutable; make a new one when RAM or the ECAM window moves.</summary>
public sealed class DecodeLimits
{
    private readonly AddressRange[] memoryWindows;
    private readonly AddressRange[] ioWindows;
    private readonly ReservedRange[] reservedMemory;
    private readonly ReservedRange[] reservedIo;

    /// <summary>Makes the limits. Windows may touch: a BAR may lie across two of them.</summary>
    public DecodeLimits(
        IEnumerable<AddressRange> memoryWindows,
        IEnumerable<AddressRange> ioWindows,
        IEnumerable<ReservedRange> reservedMemory,
        IEnumerable<ReservedRange>? reservedIo = null)
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
    public IReadOnlyList<ReservedRange> ReservedMemory => reservedMemory;

    /// <summary>Ports that win over BARs.</summary>
    public IReadOnlyList<ReservedRange> ReservedIo => reservedIo;

    internal ReadOnlySpan<AddressRange> Windows(bool io) => io ? ioWindows : memoryWindows;

    internal ReadOnlySpan<ReservedRange> Reserved(bool io) => io ? reservedIo : reservedMemory;
}

/// <summary>What decodes where: immutable, computed whole from the registers, so that a swap of two BARs is one step.</summary>
public sealed class DecodeMap
{
    private readonly DecodedBar[] memory;
    private readonly DecodedBar[] io;
    private readonly RefusedBar[] refused;

    internal DecodeMap(DecodedBar[] memory, DecodedBar[] io, RefusedBar[] refused)
    {
        this.memory = memory;
        this.io = io;
        this.refused = refused;
    }

    /// <summary>Nothing decodes.</summary>
    public static DecodeMap Empty { get; } = new([], [], []);

    /// <summary>Memory BARs and ROMs that decode, by rising address; no two overlap.</summary>
    public IReadOnlyList<DecodedBar> Memory => memory;

    /// <summary>I/O BARs that decode, by rising port; no two overlap.</summary>
    public IReadOnlyList<DecodedBar> Io => io;

    /// <summary>Every BAR that does not decode, depth first through the hierarchy, then by index.</summary>
    public IReadOnlyList<RefusedBar> Refused => refused;

    /// <summary>Where a BAR decodes, or null.</summary>
    public AddressRange? Find(Bar bar)
    {
        foreach (DecodedBar entry in bar.Kind == BarKind.Io ? io : memory)
        {
            if (entry.Bar == bar)
            {
                return entry.Range;
            }
        }

        return null;
    }

    internal ReadOnlySpan<DecodedBar> Entries(bool isIo) => isIo ? io : memory;
}
