using Aperture.Placement.Platforms;

namespace Aperture.Placement.Search;

/// <summary>Where RAM lies for one position of the low hole: around reserved ranges, and above 4 GiB around pins and set windows too.</summary>
internal sealed class RamSplit
{
    private const ulong Page = 4096;

    // Huge pages can back every piece above 4 GiB.
    private const ulong HighGranule = 2UL << 20;

    // Slivers between pins are not worth a memory slot.
    private const ulong SmallestHigh = 64UL << 20;
    private const ulong SmallestLow = 64UL << 10;
    private const ulong Mebibyte = 1UL << 20;

    private readonly ulong _base;

    private RamSplit(PlatformLimits platform, List<Extent> low, List<Extent> high)
    {
        Size = platform.RamSize;
        _base = platform.RamBase.Value;
        Low = low;
        High = high;
        Missing = Size - Sum(low) - Sum(high);
    }

    public ulong Size { get; }

    public IReadOnlyList<Extent> Low { get; }

    public IReadOnlyList<Extent> High { get; }

    /// <summary>Bytes that found no place in the address space.</summary>
    public ulong Missing { get; }

    public ulong LowEnd => Low.Count == 0 ? _base : Low[^1].End;

    public ulong HighEnd => High.Count == 0 ? PlatformLimits.FourGiB : High[^1].End;

    /// <summary>
    /// Splits RAM with the hole from <paramref name="holeStart"/>; <paramref name="taken"/> is what pins hold where RAM makes way for them, in any order.
    /// </summary>
    public static RamSplit Make(Ground ground, ulong holeStart, IEnumerable<Extent> taken)
    {
        if (ground.Platform.Mmio64Window is not { } window)
        {
            return Split(ground, holeStart, taken);
        }

        // RAM that pins push aside stays out of the user's window; RAM that reaches it by itself is a contradiction, and stays visible as one.
        RamSplit alone = Split(ground, holeStart, []);
        return alone.High.Any(piece => piece.Overlaps(Extent.Of(window))) ? alone : Split(ground, holeStart, taken.Append(Extent.Of(window)));
    }

    private static RamSplit Split(Ground ground, ulong holeStart, IEnumerable<Extent> taken)
    {
        PlatformLimits platform = ground.Platform;
        ulong left = platform.RamSize;
        ulong start = platform.RamBase.Value;
        IEnumerable<Extent> high = taken.Concat(ground.RamAvoids).Concat(ground.SetWindows(ArenaKind.High).SelectMany(windows => windows ?? []))
            .Where(extent => !extent.IsEmpty).Select(extent => extent.Outward(HighGranule)).OrderBy(extent => extent.Start);
        List<Extent> lowPieces = start == 0
            ? Take(new FreeSpace([new Extent(0, holeStart)], ground.RamAvoids.Select(extent => extent.Outward(Page))), SmallestLow, ref left)
            : Take(new FreeSpace([new Extent(start, PlatformLimits.FourGiB)], LowTaken(ground, high)), SmallestHigh, ref left);
        Extent above = new(PlatformLimits.FourGiB, Math.Max(PlatformLimits.FourGiB, ground.SpaceEnd));
        List<Extent> highPieces = left == 0 ? [] : Take(new FreeSpace([above], high), SmallestHigh, ref left);
        return new RamSplit(platform, lowPieces, highPieces);
    }

    // Of RAM that starts above the low hole: what it makes way for, the 32-bit windows that were set included.
    private static IEnumerable<Extent> LowTaken(Ground ground, IEnumerable<Extent> taken) => ground.SetWindows(ArenaKind.Low)
        .SelectMany(windows => windows ?? [])
        .Append(ground.Platform.Mmio32Window is { } window ? Extent.Of(window) : default)
        .Where(extent => !extent.IsEmpty).Select(extent => extent.Outward(HighGranule)).Concat(taken).OrderBy(extent => extent.Start);

    /// <summary>What a memory controller's registers say of it; null where RAM does not start at 0, which none can say.</summary>
    public MemoryRegisters? Registers()
    {
        if (_base != 0)
        {
            return null;
        }

        ulong unit = SmallestHigh;
        ulong tom = Align.Up(Size, unit);
        ulong tolud = Align.Up(LowEnd, Mebibyte);
        ulong touud = High.Count == 0 ? tolud : Align.Up(HighEnd, Mebibyte);
        ulong remapBase = Math.Max(tom, PlatformLimits.FourGiB);
        ulong remapLimit = Align.Up(touud, unit) - 1;

        // Closed: the base above the limit, as reset leaves it.
        return High.Count > 0 && remapBase <= remapLimit
            ? new MemoryRegisters(new(tom), new(tolud), new(touud), new(remapBase), new(remapLimit))
            : new MemoryRegisters(new(tom), new(tolud), new(touud), new(0xF_FC00_0000), new(unit - 1));
    }

    private static List<Extent> Take(FreeSpace free, ulong smallest, ref ulong left)
    {
        List<Extent> pieces = [];
        foreach (Extent span in free.Spans)
        {
            if (left == 0)
            {
                break;
            }

            if (span.Size >= smallest || span.Size >= left)
            {
                ulong size = Math.Min(span.Size, left);
                pieces.Add(Extent.Sized(span.Start, size));
                left -= size;
            }
        }

        return pieces;
    }

    private static ulong Sum(List<Extent> pieces) => pieces.Aggregate(0UL, (sum, piece) => sum + piece.Size);
}
