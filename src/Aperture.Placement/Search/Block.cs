using Aperture.Placement.Map;

namespace Aperture.Placement.Search;

/// <summary>Something that takes addresses on a bus: a BAR, or a bridge's window with all that is behind it. Made afresh for every attempt.</summary>
internal abstract class Block(FunctionNode node)
{
    public FunctionNode Node { get; } = node;

    /// <summary>The window it lies in, or null on the root bus.</summary>
    public WindowBlock? Parent { get; set; }

    /// <summary>The address space of a block on the root bus.</summary>
    public ArenaKind RootArena { get; set; }

    /// <summary>The address space it is in: that of the tree it hangs from.</summary>
    public ArenaKind Arena => Parent?.Arena ?? RootArena;

    /// <summary>How messages call it.</summary>
    public abstract string Name { get; }

    /// <summary>What pins force it to cover; empty when it may float.</summary>
    public abstract Extent Forced { get; }

    /// <summary>The rigid bodies to try, the preferred one first; empty when it has none. Only for a block that floats.</summary>
    public abstract Shape[] Shapes { get; }

    /// <summary>Where it is, once placed.</summary>
    public Extent Placed { get; protected set; }

    public bool Floats => Forced.IsEmpty;

    public abstract ConflictParty Party(Extent? at);

    /// <summary>Takes its place, and everything inside with it.</summary>
    public abstract void Settle(Shape shape, ulong start);
}

/// <summary>A BAR.</summary>
internal sealed class BarBlock(BarSpec spec, bool ignorePin) : Block(spec.Node)
{
    private Shape[]? _shapes;

    public BarSpec Spec { get; } = spec;

    /// <inheritdoc/>
    public override string Name => Spec.Name;

    public override Extent Forced { get; } =
        spec.Pin is { } pin && !ignorePin ? Extent.Sized(pin.Value, spec.Size) : default;

    public override Shape[] Shapes => _shapes ??= [new Shape(Spec.Size, Spec.Unit, 0, [])];

    /// <summary>True for a naturally aligned power of two: everything but a VF BAR of several VFs.</summary>
    public bool IsNatural => Spec.Count == 1;

    public override ConflictParty Party(Extent? at) => Spec.Party(at?.ToRange());

    public override void Settle(Shape shape, ulong start) => SettleAt(start);

    public void SettleAt(ulong start) => Placed = Extent.Sized(start, Spec.Size);

    public void SettleAtPin() => Placed = Forced;
}

/// <summary>One of a bridge's windows.</summary>
internal sealed class WindowBlock : Block
{
    private Shape[]? _shapes;

    public WindowBlock(FunctionNode node, WindowKind kind, IReadOnlyList<Block> children, AddressRange? pin, ulong reserve)
        : base(node)
    {
        Kind = kind;
        Children = children;
        IsPinned = pin is not null;
        Reserve = Align.Up(reserve, Granule);
        Forced = pin is { } range ? Extent.Of(range) : Hull(null);
        foreach (Block child in children)
        {
            child.Parent = this;
        }
    }

    public WindowKind Kind { get; }

    public IReadOnlyList<Block> Children { get; }

    /// <summary>True when the user said where the window is.</summary>
    public bool IsPinned { get; }

    /// <summary>The least size, for hotplug; a multiple of <see cref="Granule"/>.</summary>
    public ulong Reserve { get; }

    /// <summary>The unit of base and limit (PCI-to-PCI Bridge 1.2, 3.2.5.6 to 3.2.5.9).</summary>
    public ulong Granule => GranuleOf(Kind);

    public override string Name => NameOf(Node.Name, Kind);

    public override Extent Forced { get; }

    public override Shape[] Shapes => _shapes ??= WindowShapes.Of(this);

    public static ulong GranuleOf(WindowKind kind) => kind == WindowKind.Io ? 1UL << 12 : 1UL << 20;

    public static string NameOf(string bridge, WindowKind kind) => kind switch
    {
        WindowKind.Io => $"the I/O window of {bridge}",
        WindowKind.Memory => $"the memory window of {bridge}",
        _ => $"the prefetchable window of {bridge}",
    };

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
    public Extent ForcedWithout(BarBlock bar) => IsPinned ? Forced : Hull(bar);

    /// <summary>The pinned BARs inside, at any depth.</summary>
    public IEnumerable<BarBlock> PinnedBars() =>
        Children.SelectMany(child => child switch
        {
            BarBlock bar => bar.Floats ? [] : [bar],
            WindowBlock window => window.PinnedBars(),
            _ => Enumerable.Empty<BarBlock>(),
        });

    /// <summary>The pinned windows inside, at any depth, itself included.</summary>
    public IEnumerable<WindowBlock> PinnedWindows() =>
        Children.OfType<WindowBlock>().SelectMany(child => child.PinnedWindows()).Concat(IsPinned ? [this] : []);

    private Extent Hull(BarBlock? except)
    {
        Extent hull = default;
        foreach (Block child in Children)
        {
            if (child != except)
            {
                hull = hull.Union(except is not null && child is WindowBlock window ? window.ForcedWithout(except) : child.Forced);
            }
        }

        return hull.Outward(Granule);
    }
}

/// <summary>The three windows of a bridge.</summary>
internal enum WindowKind
{
    Io,
    Memory,
    Prefetchable,
}
