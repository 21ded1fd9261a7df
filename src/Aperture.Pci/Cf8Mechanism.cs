namespace Aperture.Pci;

/// <summary>
/// Configuration mechanism #1 (PCI Local Bus 3.0, section 3.2.2.3.2): the address latch at port 0xCF8 and the data window at 0xCFC. Offsets count from
/// 0xCF8, eight ports. Only a 4-byte access to 0xCF8 is the latch's; other accesses to 0xCF8-0xCFB are unclaimed, for what else lives there.
/// </summary>
/// <param name="hierarchy">What the accesses reach.</param>
public sealed class Cf8Mechanism(PciHierarchy hierarchy) : IAccessHandler
{
    /// <summary>The first port.</summary>
    public const ushort FirstPort = 0xCF8;

    /// <summary>How many ports.</summary>
    public const int PortCount = 8;

    private const ulong Data = 4;
    private const uint Enable = 1u << 31;

    // Written and read by vCPUs without a lock: one word, and a guest that shares it among vCPUs has to serialise by itself, as on hardware.
    private volatile uint _latch;

    /// <summary>The address register; for saving and for events.</summary>
    public uint Address
    {
        get => _latch;
        set => _latch = value;
    }

    /// <inheritdoc/>
    public AccessResult Read(ulong offset, int size, out ulong value)
    {
        uint address = _latch;
        if (IsData(offset, size, address))
        {
            value = FitsWord(offset, size)
                ? hierarchy.ConfigRead(Target(address), Register(address, offset), size)
                : ReadPieces(address, offset, size);
            return AccessResult.Ok;
        }

        if (offset == 0 && size == 4)
        {
            value = address;
            return AccessResult.Ok;
        }

        value = AccessWidth.AllOnes(size);
        return AccessResult.Unclaimed;
    }

    /// <inheritdoc/>
    public AccessResult Write(ulong offset, int size, ulong value)
    {
        uint address = _latch;
        if (offset == 0 && size == 4)
        {
            _latch = (uint)value;
            return AccessResult.Ok;
        }

        if (!IsData(offset, size, address))
        {
            return AccessResult.Unclaimed;
        }

        if (FitsWord(offset, size))
        {
            hierarchy.ConfigWrite(Target(address), Register(address, offset), size, (uint)(value & AccessWidth.AllOnes(size)));
            return AccessResult.Ok;
        }

        for (int done = 0; done < size && offset + (ulong)done < PortCount;)
        {
            ulong at = offset + (ulong)done;
            int piece = AccessSplit.PieceSize(at, size - done);
            hierarchy.ConfigWrite(Target(address), Register(address, at), piece, (uint)(value >> (8 * done) & AccessWidth.AllOnes(piece)));
            done += piece;
        }

        return AccessResult.Ok;
    }

    private static bool IsData(ulong offset, int size, uint address) =>
        offset is >= Data and < PortCount && size is 1 or 2 or 4 && (address & Enable) != 0;

    // Byte enables say any run of bytes inside the word, aligned or not.
    private static bool FitsWord(ulong offset, int size) => (int)(offset & 3) + size <= 4;

    private static Bdf Target(uint address) => new((ushort)(address >> 8));

    // Bits 1:0 of the latch do not count: the port gives the byte.
    private static int Register(uint address, ulong offset) => (int)(address & 0xFC) + (int)(offset & 3);

    // What lies past the window's end at 0xD00 is not ours and reads as ones.
    private ulong ReadPieces(uint address, ulong offset, int size)
    {
        ulong value = 0;
        for (int done = 0; done < size;)
        {
            ulong at = offset + (ulong)done;
            int piece = AccessSplit.PieceSize(at, size - done);
            ulong part = at < PortCount ? hierarchy.ConfigRead(Target(address), Register(address, at), piece) : AccessWidth.AllOnes(piece);
            value |= part << (8 * done);
            done += piece;
        }

        return value;
    }
}
