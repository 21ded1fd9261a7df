using Aperture.Pci;

namespace Aperture.Placement;

/// <summary>Something that takes addresses on a bus: a BAR, or a bridge's window with all that is behind it. Made afresh for every attempt.</summary>
internal abstract class Block(FunctionNode node)
{
    public FunctionNode Node { get; } = node;

    /// <summary>The window it lies in, or null on the root bus.</summary>
    public WindowBlock? Parent { get; set; }

    /// <summary>How messages call it.</summary>
    public abstract string Name { get; }

    /// <summary>What pins force it to cover; empty when it may float.</summary>
    public abstract Extent Forced { get; }

    /// <summary>The rigid bodies to try, the preferred one first; empty when it has none. Only for a block that floats.</summary>
    public abstract IReadOnlyList<Shape> Shapes { get; }

    /// <summary>Where it is, once placed.</summary>
    public Extent Placed { get; protected set; }

    public bool Floats => Forced.IsEmpty;

    public abstract ConflictParty Party(Extent? at);

    /// <summary>Takes its place, and everything inside with it.</summary>
    public abstract void Settle(Shape shape, ulong start);
}

/// <summary>A BAR.</summary>
internal sealed class BarBlock(FunctionNode node, BarDemand demand, bool ignorePin) : Block(node)
{
    private IReadOnlyList<Shape>? _shapes;

    public BarDemand Demand { get; } = demand;

    /// <inheritdoc/>
    public override string Name => $"{Node.Name} {BarKinds.BarName(Demand.Index)}";

    /// <summary>The name with kind and size: <c>nic0 bar2 (mem64p, 64G)</c>.</summary>
    public string LongName => $"{Name} ({Demand.Kind.Keyword()}, {ByteSize.Format(Demand.Size)})";

    public override Extent Forced { get; } =
        demand.Pin is { } pin && !ignorePin ? Extent.Sized(pin.Value, demand.Size) : default;

    public override IReadOnlyList<Shape> Shapes => _shapes ??= [new Shape(Demand.Size, Demand.Size, 0, [])];

    public override ConflictParty Party(Extent? at) => new(Name, at?.ToRange()) { Function = Node.Name, Bar = Demand.Index };

    public override void Settle(Shape shape, ulong start) => Placed = Extent.Sized(start, Demand.Size);

    public void SettleAtPin() => Placed = Forced;
}

/// <summary>One of a bridge's windows.</summary>
internal sealed class WindowBlock : Block
{
    private IReadOnlyList<Shape>? _shapes;

    public WindowBlock(FunctionNode node, WindowKind kind, IReadOnlyList<Block> children)
        : base(node)
    {
        Kind = kind;
        Children = children;
        Forced = children.Aggregate(default(Extent), (hull, child) => hull.Union(child.Forced)).Outward(Granule);
        foreach (Block child in children)
        {
            child.Parent = this;
        }
    }

    public WindowKind Kind { get; }

    public IReadOnlyList<Block> Children { get; }

    /// <summary>The unit of base and limit (PCI-to-PCI Bridge 1.2, 3.2.5.6 to 3.2.5.9).</summary>
    public ulong Granule => GranuleOf(Kind);

    public override string Name => Kind switch
    {
        WindowKind.Io => $"the I/O window of {Node.Name}",
        WindowKind.Memory => $"the memory window of {Node.Name}",
        _ => $"the prefetchable window of {Node.Name}",
    };

    public override Extent Forced { get; }

    public override IReadOnlyList<Shape> Shapes => _shapes ??= WindowShapes.Of(this);

    public static ulong GranuleOf(WindowKind kind) => kind == WindowKind.Io ? 1UL << 12 : 1UL << 20;

    public override ConflictParty Party(Extent? at) => new(Name, at?.ToRange()) { Function = Node.Name };

    public override void Settle(Shape shape, ulong start)
    {
        Placed = Extent.Sized(start, shape.Size);
        foreach (Part part in shape.Parts)
        {
            part.Block.Settle(part.Shape, start + part.Start);
        }
    }

    /// <summary>Takes the place given; the content was placed one by one.</summary>
    public void SettleAround(Extent extent) => Placed = extent;

    /// <summary>What pins would force it to cover if <paramref name="bar"/> had none.</summary>
    public Extent ForcedWithout(BarBlock bar) =>
        Children.Aggregate(default(Extent), (hull, child) => hull.Union(
            child == bar ? default : child is WindowBlock window ? window.ForcedWithout(bar) : child.Forced)).Outward(Granule);

    /// <summary>The pinned BARs inside, at any depth.</summary>
    public IEnumerable<BarBlock> PinnedBars() =>
        Children.SelectMany(child => child switch
        {
            BarBlock bar => bar.Floats ? [] : [bar],
            WindowBlock window => window.PinnedBars(),
            _ => Enumerable.Empty<BarBlock>(),
        });
}

/// <summary>The three windows of a bridge.</summary>
internal enum WindowKind
{
    Io,
    Memory,
    Prefetchable,
}
