using System.Numerics;

namespace Aperture.Placement.Search;

/// <summary>
/// The rigid bodies that a floating window may be: its content packed tightly, grown from the most aligned part to either side or to one; the smallest first.
/// </summary>
internal static class WindowShapes
{
    // Packed around an address that is aligned for anything, with room on both sides; only offsets survive.
    private const ulong Seed = 1UL << 61;
    private const ulong Room = 1UL << 62;

    private static readonly Growth[] Growths = [Growth.UpFirst, Growth.DownFirst, Growth.OnlyUp, Growth.OnlyDown];

    public static Shape[] Of(WindowBlock window)
    {
        bool natural = true;
        foreach (Block child in window.Children)
        {
            // A child without shapes is too large for any address space.
            if (child.Shapes.Length == 0)
            {
                return [];
            }

            natural &= child is BarBlock { IsNatural: true };
        }

        List<Block> sorted = HullPacker.Sorted(window.Children);
        List<Shape> shapes = [];
        foreach (Growth growth in Growths)
        {
            // Naturally aligned powers of two by falling size leave no gap, so growing to one side is all there is.
            Shape? shape = !natural ? Pack(window, sorted, growth) : growth is Growth.UpFirst or Growth.DownFirst ? Row(window, sorted, growth) : null;
            if (shape is not null && !shapes.Exists(other => other.Size == shape.Size && other.Phase == shape.Phase))
            {
                shapes.Add(shape);
            }
        }

        return [.. shapes.OrderBy(shape => shape.Size)];
    }

    private static Shape? Row(WindowBlock window, List<Block> sorted, Growth growth)
    {
        ulong start = Seed;
        ulong end = Seed;
        Part[] parts = new Part[sorted.Count];
        for (int index = 0; index < parts.Length; index++)
        {
            Shape shape = sorted[index].Shapes[0];
            if (shape.Size > Room - end || shape.Size > start)
            {
                return null;
            }

            parts[index] = new Part(sorted[index], shape, growth == Growth.UpFirst ? end : start - shape.Size);
            (start, end) = growth == Growth.UpFirst ? (start, end + shape.Size) : (start - shape.Size, end);
        }

        return Finish(window, new Extent(start, end), parts);
    }

    private static Shape? Pack(WindowBlock window, List<Block> sorted, Growth growth)
    {
        FreeSpace free = new([new Extent(0, Room)]);
        Extent hull = default;
        List<Part> parts = new(sorted.Count);
        return HullPacker.Pack(free, sorted, ref hull, Seed, growth, parts) is null ? Finish(window, hull, [.. parts]) : null;
    }

    /// <summary>Widens the hull to the window's granule and its reserve, and makes the parts' places relative to it.</summary>
    private static Shape Finish(WindowBlock window, Extent hull, Part[] parts)
    {
        Extent whole = hull.IsEmpty ? new Extent(Seed, Seed) : hull.Outward(window.Granule);
        ulong alignment = window.Granule;
        if (window.Reserve > 0)
        {
            ulong unit = LargestPower(window.Reserve);
            ulong start = Align.Down(whole.Start, unit);
            whole = new Extent(start, Math.Max(whole.End, start + window.Reserve));
            alignment = Math.Max(alignment, unit);
        }

        for (int index = 0; index < parts.Length; index++)
        {
            alignment = Math.Max(alignment, parts[index].Shape.Alignment);
            parts[index] = parts[index] with { Start = parts[index].Start - whole.Start };
        }

        return new Shape(whole.Size, alignment, whole.Start & (alignment - 1), parts);
    }

    /// <summary>The largest power of two in a reserve: the largest BAR that it is good for.</summary>
    public static ulong LargestPower(ulong reserve) => 1UL << (63 - BitOperations.LeadingZeroCount(reserve));
}
