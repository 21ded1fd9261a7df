namespace Aperture.Memory;

/// <summary>
/// The guest's main memory: one block, shown as a low part from address 0 up to the hole below 4 GiB and, if there is more, a high part from
/// 4 GiB on. The split follows the Q35 and i440FX convention; a board that moves it makes its own regions over <see cref="Block"/>.
/// </summary>
public sealed class GuestRam : IDisposable
{
    /// <summary>Where the high part starts.</summary>
    public static GuestAddress HighBase => new(1UL << 32);

    private GuestRam(RamBlock block, Region low, Region? high)
    {
        Block = block;
        Low = low;
        High = high;
    }

    /// <summary>The memory itself.</summary>
    public RamBlock Block { get; }

    /// <summary>The part at address 0.</summary>
    public Region Low { get; }

    /// <summary>The part at 4 GiB, or null when everything fits below the hole.</summary>
    public Region? High { get; }

    /// <summary>The addresses of the low part.</summary>
    public AddressRange LowRange => new(GuestAddress.Zero, Low.Size);

    /// <summary>The addresses of the high part; empty when there is none.</summary>
    public AddressRange HighRange => High is null ? default : new AddressRange(HighBase, High.Size);

    /// <summary>
    /// Makes <paramref name="size"/> bytes of RAM with at most <paramref name="lowLimit"/> of them below 4 GiB. Both are whole pages.
    /// </summary>
    /// <exception cref="ApertureException">The size is 0, not whole pages, more than the host has, or the host refuses it.</exception>
    public static GuestRam Create(ulong size, ulong lowLimit, RamPages pages = RamPages.Ordinary) =>
        Create(size, lowLimit, pages, HostMemory.TotalBytes());

    /// <summary>Puts both parts where they belong.</summary>
    public void Place(AddressChange change, int priority)
    {
        ArgumentNullException.ThrowIfNull(change);
        change.Place(Low, GuestAddress.Zero, priority);
        if (High is not null)
        {
            change.Place(High, HighBase, priority);
        }
    }

    /// <summary>Gives up the block (see <see cref="RamBlock"/> for how long it lives).</summary>
    public void Dispose() => Block.Dispose();

    internal static GuestRam Create(ulong size, ulong lowLimit, RamPages pages, ulong? hostTotal)
    {
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

        ArgumentOutOfRangeException.ThrowIfZero(lowLimit);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(lowLimit, HighBase.Value);
        ArgumentOutOfRangeException.ThrowIfNotEqual(lowLimit % MemorySlot.PageSize, 0UL, nameof(lowLimit));
        ulong low = Math.Min(size, lowLimit);
        RamBlock block = RamBlock.Create("ram", size, pages);
        return new GuestRam(
            block,
            Region.ForRam("ram-low", block, 0, low, mustBeMapped: true),
            size > low ? Region.ForRam("ram-high", block, low, size - low, mustBeMapped: true) : null);
    }
}
