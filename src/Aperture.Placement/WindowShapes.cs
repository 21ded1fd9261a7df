namespace Aperture.Placement;

/// <summary>The rigid bodies that a floating window may be: its content packed tightly, grown from the most aligned part to either side or to one; the smallest first.</summary>
internal static class WindowShapes
{
    // Packed around an address that is aligned for anything, with room on both sides; only offsets survive.
    private const ulong Seed = 1UL << 61;
    private const ulong Room = 1UL << 62;

    public static IReadOnlyList<Shape> Of(WindowBlock window)
    {
        // A child without shapes is too large for any address space.
        if (window.Children.Any(child => child.Shapes.Count == 0))
        {
            return [];
        }

        List<Block> sorted = HullPacker.Sorted(window.Children);
        List<Shape> shapes = [];
        foreach (Growth growth in Enum.GetValues<Growth>())
        {
            if (Pack(window, sorted, growth) is { } shape && !shapes.Exists(other => other.Size == shape.Size && other.Phase == shape.Phase))
            {
                shapes.Add(shape);
            }
        }

        return [.. shapes.OrderBy(shape => shape.Size)];
    }

    private static Shape? Pack(WindowBlock window, List<Block> sorted, Growth growth)
    {
        FreeSpace free = new([new Extent(0, Room)]);
        Extent hull = default;
        List<Part> parts = [];
        if (HullPacker.Pack(free, sorted, ref hull, Seed, growth, parts) is not null)
        {
            return null;
        }

        Extent whole = hull.Outward(window.Granule);
        ulong alignment = Math.Max(window.Granule, parts.Max(part => part.Shape.Alignment));
        return new Shape(
            whole.Size,
            alignment,
            whole.Start & (alignment - 1),
            [.. parts.Select(part => part with { Start = part.Start - whole.Start })]);
    }
}
