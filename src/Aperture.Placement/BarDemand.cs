using Aperture.Pci;

namespace Aperture.Placement;

/// <summary>One BAR that needs an address.</summary>
/// <param name="Index">0 to 5, or <see cref="BarKinds.RomIndex"/> for the expansion ROM. A 64-bit BAR also takes the next index.</param>
/// <param name="Kind">I/O or memory, width, prefetchable or not.</param>
/// <param name="Size">Bytes; a power of two, at least 4 for I/O, 16 for memory and 2 KiB for a ROM (PCI 3.0, 6.2.5). Also the alignment.</param>
/// <param name="Pin">The address the user wants, or null for one the solver picks.</param>
public sealed record BarDemand(int Index, BarKind Kind, ulong Size, GuestAddress? Pin = null);
