using Aperture.Memory;
using Aperture.Pci;

namespace Aperture.Board;

/// <summary>What a function finds on the board that it is made for.</summary>
/// <param name="Memory">Guest physical memory.</param>
/// <param name="MemoryDispatcher">Answers memory accesses that end in devices.</param>
/// <param name="IsExpress">The board has PCI Express; on others functions are conventional.</param>
public sealed record FunctionSite(AddressSpace Memory, Dispatcher MemoryDispatcher, bool IsExpress);

/// <summary>What a function answers at addresses that no BAR moves.</summary>
/// <param name="Region">What answers.</param>
/// <param name="Start">The first address.</param>
/// <param name="IsPorts">It is in the ports, not in memory.</param>
public sealed record FixedRange(Region Region, GuestAddress Start, bool IsPorts);

/// <summary>What answers behind a BAR, or behind a piece of it.</summary>
/// <param name="Bar">The BAR.</param>
/// <param name="Region">What answers.</param>
/// <param name="Offset">Bytes from the BAR's start.</param>
public sealed record BarRegion(Bar Bar, Region Region, ulong Offset = 0)
{
    /// <summary>For a piece of a VF BAR which VF it is, the first being 0.</summary>
    public int Vf { get; init; }

    /// <summary>Bytes from the BAR's start by the size that each VF has now.</summary>
    public ulong Place => Offset + ((ulong)Vf * Bar.Size);
}

/// <summary>A function with what answers behind its BARs.</summary>
/// <param name="Function">The function.</param>
/// <param name="Regions">The pieces of the BARs, inside their BARs and disjoint; a BAR without any claims its range and answers nothing.</param>
/// <param name="Owned">Given back when the function leaves the board, after nothing can reach it any more; in this order.</param>
public sealed record MadeFunction(PciFunction Function, IReadOnlyList<BarRegion> Regions, IReadOnlyList<IDisposable> Owned)
{
    /// <summary>A function whose BARs, if any, answer nothing.</summary>
    public MadeFunction(PciFunction function)
        : this(function, [], [])
    {
    }

    /// <summary>What it answers beside its BARs; for functions that the board is built with.</summary>
    public IReadOnlyList<FixedRange> Fixed { get; init; } = [];

    /// <summary>Told which global system interrupt the function's INTx arrives at, once it is on its bus; null when the function has no pin.</summary>
    public Action<uint?> Wired { get; init; } = static _ => { };

    /// <summary>
    /// Told which input of the 8259s INTx reaches as well, null for none, whenever it changes; for a function whose interrupts do not go through its line.
    /// With the hierarchy's lock held.
    /// </summary>
    public Action<uint?>? RoutedToIsa { get; init; }
}
