using Aperture.Pci;
using Aperture.Placement.Checks;
using Aperture.Placement.Map;
using Aperture.Placement.Request;

namespace Aperture.Placement.Search;

/// <summary>A BAR of a function in the tree, with the size it has been given so far.</summary>
internal sealed class BarSpec
{
    /// <summary>The system page size that VF BARs are scaled to at least (PCIe 5.0, 9.3.3.13).</summary>
    public const ulong SystemPage = 4096;

    public BarSpec(FunctionNode node, BarDemand demand)
    {
        Node = node;
        Demand = demand;
        Count = BarIndex.IsVf(demand.Index) ? node.Demand.Sriov?.TotalVfs ?? 0 : 1;
        Resize(demand.Size);
    }

    public FunctionNode Node { get; }

    public BarDemand Demand { get; }

    public BarKind Kind => Demand.Kind;

    public int Index => Demand.Index;

    public GuestAddress? Pin => Demand.Pin;

    /// <summary>True when it is left without an address because ports are short; see <see cref="IoShortage"/>.</summary>
    public bool LeftOut { get; set; }

    /// <summary>How many units lie in a row: TotalVFs for a VF BAR, else 1.</summary>
    public int Count { get; }

    /// <summary>What the register decodes, and the alignment.</summary>
    public ulong Unit { get; private set; }

    /// <summary>Bytes in all. Only sound after <see cref="DemandCheck"/>.</summary>
    public ulong Size => Unit * (ulong)Count;

    public string Name => $"{Node.Name} {BarIndex.Name(Index)}";

    /// <summary>The name with kind and size: <c>nic0 bar2 (mem64p, 64G)</c>, <c>nic0 vf-bar0 (mem64p, 64 x 16K)</c>.</summary>
    public string LongName => $"{Name} ({Kind.Keyword()}, {(BarIndex.IsVf(Index) ? $"{Count} x " : "")}{ByteSize.Format(Unit)})";

    public ConflictParty Party(AddressRange? at) => new(Name, at) { Function = Node.Name, Bar = Index };

    /// <summary>The sizes that it may take, ascending; empty when there is only the one.</summary>
    public ulong[] Sizes { get; private set; } = [];

    /// <summary>
    /// Fills in <see cref="Sizes"/>: what its capability offers up to what was asked, <paramref name="largest"/> in all at most. Takes the largest.
    /// </summary>
    public void Cap(ulong largest)
    {
        ulong least = Demand.ResizableSizes.Min();
        Sizes = [.. Demand.ResizableSizes.Distinct().Where(size => size == least || (size <= Demand.Size && size <= largest / (ulong)Count)).Order()];
        Resize(Sizes[^1]);
    }

    /// <summary>Gives it another size.</summary>
    public void Resize(ulong size) => Unit = BarIndex.IsVf(Index) ? Math.Max(size, SystemPage) : size;
}
