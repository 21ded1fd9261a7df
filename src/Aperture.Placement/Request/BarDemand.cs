using Aperture.Pci;

namespace Aperture.Placement.Request;

/// <summary>One BAR that needs an address.</summary>
/// <param name="Index">0 to 5, <see cref="BarKinds.RomIndex"/> for the expansion ROM, or <see cref="BarIndex.Vf0"/> and up for a VF BAR. A 64-bit BAR also
/// takes the next index.</param>
/// <param name="Kind">I/O or memory, width, prefetchable or not. A VF BAR is never I/O.</param>
/// <param name="Size">
/// Bytes; a power of two, at least 4 for I/O, 16 for memory and 2 KiB for a ROM (PCI 3.0, 6.2.5). Also the alignment. For a VF BAR this is one
/// VF's share: it counts as at least 4 KiB and takes that times <see cref="SriovDemand.TotalVfs"/> (PCIe 5.0, 9.3.3.14).
/// </param>
/// <param name="Pin">The address the user wants, or null for one the solver picks.</param>
public sealed record BarDemand(int Index, BarKind Kind, ulong Size, GuestAddress? Pin = null)
{
    /// <summary>True when <see cref="Pin"/> is the address that a host's device has its BAR at, rather than one that the user spelled.</summary>
    public bool PinIsHosts { get; init; }

    /// <summary>
    /// The sizes, in bytes, that a Resizable BAR capability offers (PCIe 5.0, 7.8.6), in any order; empty for a BAR of one size.
    /// When given, <see cref="Size"/> is one of them.
    /// </summary>
    public IReadOnlyList<ulong> ResizableSizes { get; init; } = [];

    /// <summary>True when a smaller one of <see cref="ResizableSizes"/> will do where <see cref="Size"/> does not fit; the map says which was taken.</summary>
    public bool LargestThatFits { get; init; }
}
