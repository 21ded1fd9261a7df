using Aperture.Memory;
using Aperture.Pci;

namespace Aperture.Mediation;

/// <summary>Who answers a part of a BAR.</summary>
public enum BarPartKind : byte
{
    /// <summary>Every access is the mediator's.</summary>
    Trapped,

    /// <summary>Nothing at first; the first touch of a page is a fault, which the mediator answers.</summary>
    Mediated,

    /// <summary>Memory that is known from the start, and that a guest's monitor may map (<see cref="BarDescription.Memory"/>).</summary>
    Fixed,
}

/// <summary>A part of a BAR.</summary>
/// <param name="Offset">Bytes from the BAR's start; whole pages.</param>
/// <param name="Size">Bytes; whole pages.</param>
/// <param name="Kind">Who answers it.</param>
public readonly record struct BarPart(ulong Offset, ulong Size, BarPartKind Kind);

/// <summary>A BAR of a mediated function.</summary>
/// <param name="Index">Register index, 0 to 5; a 64-bit BAR also takes the next one.</param>
/// <param name="Kind">What kind of BAR; an I/O BAR is trapped as a whole, a ROM there is none.</param>
/// <param name="Size">Bytes, a power of two.</param>
public sealed record BarDescription(int Index, BarKind Kind, ulong Size)
{
    /// <summary>The parts that are not trapped, by offset, disjoint.</summary>
    public IReadOnlyList<BarPart> Parts { get; init; } = [];

    /// <summary>
    /// The memory of the fixed parts, byte 0 of the BAR at its byte 0: shared, and as long as the last fixed part needs. The guest's monitor gets it whole,
    /// so it is of this guest alone. Stays the mediator's.
    /// </summary>
    public RamBlock? Memory { get; init; }

    /// <summary>Who answers the byte at <paramref name="offset"/>, and up to where; the parts in between are trapped.</summary>
    public BarPartKind PartAt(ulong offset, out ulong end)
    {
        foreach (BarPart part in Parts)
        {
            if (offset < part.Offset)
            {
                end = part.Offset;
                return BarPartKind.Trapped;
            }

            if (offset - part.Offset < part.Size)
            {
                end = part.Offset + part.Size;
                return part.Kind;
            }
        }

        end = Size;
        return BarPartKind.Trapped;
    }
}

/// <summary>Where a function keeps its MSI-X structures (PCI Local Bus 3.0, section 6.8.2): in trapped parts, which the library then answers.</summary>
/// <param name="Vectors">1 to 2048.</param>
/// <param name="Bar">Index of the BAR.</param>
/// <param name="TableOffset">Offset of the table in it: 16 bytes a vector.</param>
/// <param name="PendingOffset">Offset of the pending bits in it: 8 bytes for every 64 vectors.</param>
public readonly record struct MsixDescription(int Vectors, int Bar, uint TableOffset, uint PendingOffset);

/// <summary>The PCI function that a guest sees. Its registers, capabilities and the MSI-X table are kept by the library.</summary>
/// <param name="Identity">Ids and class.</param>
/// <param name="Bars">Its BARs.</param>
public sealed record FunctionDescription(PciIdentity Identity, IReadOnlyList<BarDescription> Bars)
{
    private const ulong Page = GrantBook.Page;

    /// <summary>Its MSI-X vectors; null without.</summary>
    public MsixDescription? Msix { get; init; }

    /// <summary>
    /// True when the guest's monitor may map what is granted, if it knows how (docs/vfio-user.md). It then gets the descriptor of each source whole, so this is
    /// the word of the operator that it is trusted with all of them. False: mediated parts are reached by messages, whoever asks.
    /// </summary>
    public bool TrustsClient { get; init; }

    /// <summary>True when it has an INTx pin (INTA).</summary>
    public bool HasIntx { get; init; } = true;

    /// <summary>Capabilities of the mediator's own, which guests only read; MSI-X is not among them.</summary>
    public IReadOnlyList<CapabilityBytes> Capabilities { get; init; } = [];

    /// <summary>The BAR with an index; null when there is none.</summary>
    public BarDescription? Find(int index)
    {
        foreach (BarDescription bar in Bars)
        {
            if (bar.Index == index)
            {
                return bar;
            }
        }

        return null;
    }

    /// <summary>Refuses what contradicts itself, in the words of who wrote the mediator.</summary>
    /// <exception cref="ApertureException">It does.</exception>
    internal void Check(string mediator)
    {
        foreach (BarDescription bar in Bars)
        {
            string name = $"{mediator} describes {BarKinds.BarName(bar.Index)}";
            ulong next = 0;
            foreach (BarPart part in bar.Parts)
            {
                if ((part.Offset | part.Size) % Page != 0 || part.Size == 0 || part.Offset < next
                    || part.Offset > bar.Size || part.Size > bar.Size - part.Offset)
                {
                    throw new ApertureException($"{name} with a part at 0x{part.Offset:x} of 0x{part.Size:x} bytes; parts are "
                        + "whole pages, sorted, disjoint, inside");
                }

                next = part.Offset + part.Size;
                if (part.Kind == BarPartKind.Fixed && (bar.Memory?.File is null || bar.Memory.Size < next))
                {
                    throw new ApertureException($"{name} with a fixed part up to 0x{next:x} and no shared memory that long; give it Memory");
                }
            }

            if (bar.Kind is BarKind.Io or BarKind.Rom && (bar.Parts.Count != 0 || bar.Kind == BarKind.Rom))
            {
                throw new ApertureException($"{name} as {bar.Kind.Keyword()} with memory behind it; use a memory BAR");
            }
        }

        if (Msix is { } msix && (!IsTrapped(msix, msix.TableOffset, 16UL * (ulong)msix.Vectors)
            || !IsTrapped(msix, msix.PendingOffset, 8UL * (((ulong)msix.Vectors + 63) / 64))))
        {
            throw new ApertureException($"{mediator} describes MSI-X structures that are not in a trapped part of bar{msix.Bar}; give them a page "
                + "of their own");
        }
    }

    private bool IsTrapped(MsixDescription msix, uint offset, ulong size) => Find(msix.Bar) is { } bar
        && offset < bar.Size
        && bar.PartAt(offset, out ulong end) == BarPartKind.Trapped
        && size <= end - offset;
}

/// <summary>A capability that guests only read (PCI Local Bus 3.0, section 6.7).</summary>
/// <param name="Id">Its id, usually 0x09, vendor specific (section 6.8.3 and appendix H).</param>
/// <param name="Bytes">What follows id and link; in a vendor specific one the first byte is the length, id and link included.</param>
public sealed record CapabilityBytes(byte Id, IReadOnlyList<byte> Bytes);
