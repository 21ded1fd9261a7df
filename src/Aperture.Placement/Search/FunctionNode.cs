using Aperture.Placement.Request;

namespace Aperture.Placement.Search;

/// <summary>A function in its place in the tree, with its bus numbers.</summary>
internal sealed class FunctionNode
{
    public FunctionNode(FunctionDemand demand, FunctionNode? parent, int host, int order)
    {
        Demand = demand;
        Parent = parent;
        Host = host;
        Order = order;
        Top = parent?.Top ?? this;
        Bars = [.. demand.Bars.Select(bar => new BarSpec(this, bar))];
        Array.Sort(Bars, (left, right) => left.Index.CompareTo(right.Index));
    }

    public FunctionDemand Demand { get; }

    /// <summary>The bridge above, or null on the root bus.</summary>
    public FunctionNode? Parent { get; }

    /// <summary>The host bridge it hangs from, by its place in the request.</summary>
    public int Host { get; }

    /// <summary>Position in the canonical walk: depth first, by device and function on each bus. Input order never matters.</summary>
    public int Order { get; }

    /// <summary>The BARs by index.</summary>
    public BarSpec[] Bars { get; }

    /// <summary>The functions on the secondary bus, by device and function.</summary>
    public IReadOnlyList<FunctionNode> Children { get; set; } = [];

    public string Name => Demand.Name;

    /// <summary>The ancestor on the root bus, or this function itself.</summary>
    public FunctionNode Top { get; }

    public byte Bus { get; set; }

    public byte Secondary { get; set; }

    public byte Subordinate { get; set; }
}
