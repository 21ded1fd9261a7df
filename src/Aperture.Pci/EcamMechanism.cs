namespace Aperture.Pci;

/// <summary>
/// The enhanced configuration access mechanism (PCI Express 5.0, section 7.2.2): 4 KiB for each function, 1 MiB for each bus. Naturally aligned accesses of
/// 1, 2 and 4 bytes reach a function whole; 8 bytes and unaligned ones are split into such. Offsets count from the window's start.
/// </summary>
/// <param name="hierarchy">What the accesses reach.</param>
public sealed class EcamMechanism(PciHierarchy hierarchy) : IAccessHandler
{
    /// <summary>Bytes of the window for each bus.</summary>
    public const ulong BytesPerBus = 1 << 20;

    private const ulong WindowSize = 256 * BytesPerBus;

    /// <inheritdoc/>
    public AccessResult Read(ulong offset, int size, out ulong value)
    {
        if (AccessSplit.IsWhole(offset, size))
        {
            value = ReadPiece(offset, size);
            return AccessResult.Ok;
        }

        value = 0;
        for (int done = 0; done < size;)
        {
            int piece = AccessSplit.PieceSize(offset + (ulong)done, size - done);
            value |= ReadPiece(offset + (ulong)done, piece) << (8 * done);
            done += piece;
        }

        return AccessResult.Ok;
    }

    /// <inheritdoc/>
    public AccessResult Write(ulong offset, int size, ulong value)
    {
        for (int done = 0; done < size;)
        {
            int piece = AccessSplit.PieceSize(offset + (ulong)done, size - done);
            WritePiece(offset + (ulong)done, piece, value >> (8 * done));
            done += piece;
        }

        return AccessResult.Ok;
    }

    private ulong ReadPiece(ulong offset, int size) => offset < WindowSize
        ? hierarchy.ConfigRead(new Bdf((ushort)(offset >> 12)), (int)(offset & 0xFFF), size)
        : AccessWidth.AllOnes(size);

    private void WritePiece(ulong offset, int size, ulong value)
    {
        if (offset < WindowSize)
        {
            hierarchy.ConfigWrite(new Bdf((ushort)(offset >> 12)), (int)(offset & 0xFFF), size, (uint)(value & AccessWidth.AllOnes(size)));
        }
    }
}
