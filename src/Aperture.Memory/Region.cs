namespace Aperture.Memory;

/// <summary>What answers an access to a region.</summary>
public enum RegionKind : byte
{
    /// <summary>Every access goes to a handler.</summary>
    Trapped,

    /// <summary>A piece of a <see cref="RamBlock"/>: a memory slot where pages allow, directly accessed where not.</summary>
    Ram,

    /// <summary>
    /// Memory of an assigned device: a memory slot where pages allow, but every access that reaches this process goes to a handler, because the memory itself
    /// must not be touched here.
    /// </summary>
    Device,

    /// <summary>Nothing: hides what lies below it with less precedence, and is itself unclaimed.</summary>
    Hole,
}

/// <summary>
/// A named run of bytes that can be placed in an <see cref="AddressSpace"/>, with what backs it and a count of the accesses that were
/// dispatched to it. A region has no address; placing gives it one. It is immutable except for where it counts.
/// </summary>
public sealed class Region
{
    private Region? _origin;

    private Region(string name, ulong size, RegionKind kind)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        ArgumentOutOfRangeException.ThrowIfZero(size);
        Name = name;
        Size = size;
        Kind = kind;
    }

    /// <summary>What users see in tables, events and messages.</summary>
    public string Name { get; }

    /// <summary>Length in bytes, at least 1.</summary>
    public ulong Size { get; }

    /// <summary>What answers an access.</summary>
    public RegionKind Kind { get; }

    /// <summary>The handler of a trapped or device region, or what takes writes to read-only RAM; otherwise null.</summary>
    public IAccessHandler? Handler { get; private init; }

    /// <summary>The memory behind a RAM region, which this process may touch; otherwise null.</summary>
    public RamBlock? Ram { get; private init; }

    /// <summary>The memory that slots and DMA mappings show: <see cref="Ram"/>, or the foreign block of a device region; otherwise null.</summary>
    public RamBlock? Block { get; private init; }

    /// <summary>Where in <see cref="Block"/> the region starts, in bytes.</summary>
    public ulong RamOffset { get; private init; }

    /// <summary>True when guest writes do not reach <see cref="Ram"/> (ROM): they go to <see cref="Handler"/>, or are dropped without one.</summary>
    public bool IsReadOnly { get; private init; }

    /// <summary>
    /// True for RAM that the guest may run from: a host that cannot map it as a memory slot is a host failure. Other RAM (a BAR) then just traps.
    /// </summary>
    public bool MustBeMapped { get; private init; }

    /// <summary>
    /// True for a trapped region whose writes have no effect that the guest could see but by a later access: they may be collected and dispatched together,
    /// in order, before that access. A display's memory is such a region.
    /// </summary>
    public bool IsPosted { get; private init; }

    /// <summary>The region that this one is another showing of; itself when it is none's.</summary>
    public Region Origin => _origin ?? this;

    /// <summary>
    /// Reads dispatched so far to the space's regions of this name (<see cref="RegionCount"/>); 0 before the region was first seen in a view. Exact once the
    /// threads that access it stopped; until then it may lag.
    /// </summary>
    public ulong Reads => Counts?.Reads ?? 0;

    /// <summary>Writes dispatched so far, likewise.</summary>
    public ulong Writes => Counts?.Writes ?? 0;

    /// <summary>
    /// Where accesses are counted. Set once, under the change lock, before the first view with the region is published; that volatile write orders it for
    /// whoever finds the region in a view. A region is placed in one space only.
    /// </summary>
    internal AccessCounts? Counts { get; set; }

    /// <summary>A region whose every access goes to <paramref name="handler"/>.</summary>
    public static Region Trapped(string name, ulong size, IAccessHandler handler, bool posted = false)
    {
        ArgumentNullException.ThrowIfNull(handler);
        return new Region(name, size, RegionKind.Trapped) { Handler = handler, IsPosted = posted };
    }

    /// <summary>
    /// Memory that reads and writes reach directly: <paramref name="size"/> bytes of <paramref name="block"/> from <paramref name="offset"/>.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">The piece is not inside the block.</exception>
    public static Region ForRam(string name, RamBlock block, ulong offset, ulong size, bool mustBeMapped = false)
    {
        CheckInside(block, offset, size);
        CheckOwn(block);
        return new Region(name, size, RegionKind.Ram) { Ram = block, Block = block, RamOffset = offset, MustBeMapped = mustBeMapped };
    }

    /// <summary>
    /// Memory that reads reach directly; writes go to <paramref name="writes"/> (offsets from the region's start), or are dropped when it is null.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">The piece is not inside the block.</exception>
    public static Region ForRom(string name, RamBlock block, ulong offset, ulong size, IAccessHandler? writes = null, bool mustBeMapped = false)
    {
        CheckInside(block, offset, size);
        CheckOwn(block);
        return new Region(name, size, RegionKind.Ram)
        {
            Ram = block,
            Block = block,
            RamOffset = offset,
            IsReadOnly = true,
            Handler = writes,
            MustBeMapped = mustBeMapped,
        };
    }

    /// <summary>
    /// Memory of an assigned device: the guest reaches <paramref name="block"/> directly where pages allow; every access that comes to this process (an exit,
    /// an emulated device's DMA) goes to <paramref name="access"/>, never to the memory.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">The piece is not inside the block.</exception>
    /// <exception cref="ArgumentException">The block is not a foreign one.</exception>
    public static Region ForDevice(string name, RamBlock block, ulong offset, ulong size, IAccessHandler access)
    {
        CheckInside(block, offset, size);
        ArgumentNullException.ThrowIfNull(access);
        return block.IsForeign
            ? new Region(name, size, RegionKind.Device) { Block = block, RamOffset = offset, Handler = access }
            : throw new ArgumentException($"{block.Name} is memory of this process, not of a device", nameof(block));
    }

    /// <summary>The same memory or handler as another region, to be placed at a second address, with a name and counts of its own.</summary>
    public Region ShownAgain(string name) => new(name, Size, Kind)
    {
        _origin = Origin,
        Handler = Handler,
        Ram = Ram,
        Block = Block,
        RamOffset = RamOffset,
        IsReadOnly = IsReadOnly,
        IsPosted = IsPosted,
    };

    /// <summary>A region that hides what lies below it and answers nothing.</summary>
    public static Region Hole(string name, ulong size) => new(name, size, RegionKind.Hole);

    /// <summary>The name and size.</summary>
    public override string ToString() => $"{Name} ({ByteSize.Format(Size)})";

    private static void CheckOwn(RamBlock block)
    {
        if (block.IsForeign)
        {
            throw new ArgumentException($"{block.Name} is a device's memory, which cannot be RAM", nameof(block));
        }
    }

    private static void CheckInside(RamBlock block, ulong offset, ulong size)
    {
        ArgumentNullException.ThrowIfNull(block);
        if (offset > block.Size || size > block.Size - offset)
        {
            throw new ArgumentOutOfRangeException(nameof(size), $"0x{size:x} bytes at 0x{offset:x} are not inside {block.Name} of 0x{block.Size:x} bytes");
        }
    }
}
