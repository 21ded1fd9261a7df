namespace Aperture.Placement;

/// <summary>A function in its place in the tree, with its bus numbers.</summary>
internal sealed class FunctionNode(FunctionDemand demand, FunctionNode? parent, int order)
{
    public FunctionDemand Demand { get; } = demand;

    /// <summary>The bridge above, or null on the root bus.</summary>
    public FunctionNode? Parent { get; } = parent;

    /// <summary>Position in the canonical walk: depth first, by device and function on each bus. Input order never matters.</summary>
    public int Order { get; } = order;

    /// <summary>The functions on the secondary bus, by device and function.</summary>
    public IReadOnlyList<FunctionNode> Children { get; set; } = [];

    public string Name => Demand.Name;

    /// <summary>The ancestor on the root bus, or this function itself.</summary>
    public FunctionNode Top => Parent?.Top ?? this;

    public byte Bus { get; set; }

    public byte Secondary { get; set; }

    public byte Subordinate { get; set; }
}
