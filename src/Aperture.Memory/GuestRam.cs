namespace Aperture.Memory;

/// <summary>A run of guest RAM at its addresses.</summary>
/// <param name="Region">What shows it.</param>
/// <param name="Range">Where.</param>
public sealed record RamPiece(Region Region, AddressRange Range);

/// <summary>Where a part of the guest's memory shows.</summary>
/// <param name="Range">The addresses.</param>
/// <param name="Offset">The memory's byte at the first of them.</param>
public sealed record RamPlace(AddressRange Range, ulong Offset);

/// <summary>
/// The guest's main memory: one block, shown in pieces by rising address. A PC has one piece from address 0 up to the hole below 4 GiB and, if there is more,
/// one from 4 GiB on; pins and reserved ranges may split either.
/// </summary>
public sealed class GuestRam : IDisposable
{
    private GuestRam(RamBlock block, IReadOnlyList<RamPiece> pieces)
    {
        Block = block;
        Pieces = pieces;
        LowSize = SizeWhere(static p => p.Range.Start < HighBase);
        HighSize = SizeWhere(static p => p.Range.Start >= HighBase);
    }

    /// <summary>Where the memory above the 32-bit space starts.</summary>
    public static GuestAddress HighBase => new(1UL << 32);

    /// <summary>The memory itself.</summary>
    public RamBlock Block { get; }

    /// <summary>The pieces by rising address; the first starts at 0.</summary>
    public IReadOnlyList<RamPiece> Pieces { get; }

    /// <summary>Bytes below 4 GiB.</summary>
    public ulong LowSize { get; }

    /// <summary>Bytes from 4 GiB on.</summary>
    public ulong HighSize { get; }

    /// <summary>Makes RAM at <paramref name="pieces"/>: whole pages, ascending, disjoint, none across 4 GiB, the first at address 0.</summary>
    /// <exception cref="ApertureException">The size is 0, not whole pages, more than the host has, or the host refuses it.</exception>
    public static GuestRam Create(IReadOnlyList<AddressRange> pieces, RamPages pages = RamPages.Ordinary) =>
        Create(pieces, pages, HostMemory.TotalBytes());

    /// <summary>
    /// The same with the memory's parts in any order: <paramref name="places"/> cover all of it, each byte once. With <paramref name="shared"/> other processes
    /// can be given it (<see cref="RamBlock.File"/>).
    /// </summary>
    /// <exception cref="ApertureException">As <see cref="Create(IReadOnlyList{AddressRange}, RamPages)"/>.</exception>
    public static GuestRam Create(IReadOnlyList<RamPlace> places, RamPages pages = RamPages.Ordinary, bool shared = false) =>
        Create(places, pages, HostMemory.TotalBytes(), shared);

    /// <summary>Puts the pieces where they belong.</summary>
    public void Place(AddressChange change, int priority)
    {
        ArgumentNullException.ThrowIfNull(change);
        foreach (RamPiece piece in Pieces)
        {
            change.Place(piece.Region, piece.Range.Start, priority);
        }
    }

    /// <summary>The host's view of RAM from <paramref name="address"/> on, for filling it before the guest runs.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The bytes are not inside one piece.</exception>
    public Span<byte> AsSpan(GuestAddress address, int length)
    {
        foreach (RamPiece piece in Pieces)
        {
            if (piece.Range.Contains(new AddressRange(address, (ulong)length)))
            {
                return Block.AsSpan(piece.Region.RamOffset + (address - piece.Range.Start), length);
            }
        }

        throw new ArgumentOutOfRangeException(nameof(address), $"0x{length:x} bytes at {address} are not inside one piece of RAM");
    }

    /// <summary>Gives up the block (see <see cref="RamBlock"/> for how long it lives).</summary>
    public void Dispose() => Block.Dispose();

    internal static GuestRam Create(IReadOnlyList<AddressRange> pieces, RamPages pages, ulong? hostTotal)
    {
        ArgumentNullException.ThrowIfNull(pieces);
        List<RamPlace> places = [];
        ulong offset = 0;
        foreach (AddressRange piece in pieces)
        {
            places.Add(new RamPlace(piece, offset));
            offset += piece.Size;
        }

        return Create(places, pages, hostTotal);
    }

    private static GuestRam Create(IReadOnlyList<RamPlace> places, RamPages pages, ulong? hostTotal, bool shared = false)
    {
        ulong size = 0;
        foreach (RamPlace place in places)
        {
            size += place.Range.Size;
        }

        ulong page = pages.PageSize();
        if (size == 0 || size % page != 0)
        {
            throw new ApertureException(
                $"a guest cannot have a memory of {ByteSize.Format(size)}; give a multiple of {ByteSize.Format(page)}, such as 512M");
        }

        if (hostTotal is { } total && size > total)
        {
            throw new ApertureException(
                $"a guest with {ByteSize.Format(size)} of memory does not fit on this host, which has {ByteSize.Format(total >> 20 << 20)}; give it less");
        }

        RamBlock block = RamBlock.Create("ram", size, pages, shared);
        List<RamPiece> made = [];
        foreach ((AddressRange range, ulong offset) in places)
        {
            made.Add(new RamPiece(Region.ForRam(NameOf(range, made), block, offset, range.Size, mustBeMapped: true), range));
        }

        return new GuestRam(block, made);
    }

    private static string NameOf(AddressRange piece, List<RamPiece> before)
    {
        bool low = piece.Start < HighBase;
        int number = before.FindAll(p => p.Range.Start < HighBase == low).Count + 1;
        return (low ? "ram-low" : "ram-high") + (number == 1 ? "" : $"-{number}");
    }

    private ulong SizeWhere(Func<RamPiece, bool> chosen)
    {
        ulong size = 0;
        foreach (RamPiece piece in Pieces)
        {
            size += chosen(piece) ? piece.Range.Size : 0;
        }

        return size;
    }
}
