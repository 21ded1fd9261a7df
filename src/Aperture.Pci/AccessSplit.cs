namespace Aperture.Pci;

/// <summary>How an access that no register takes whole is cut into naturally aligned ones of 1, 2 or 4 bytes.</summary>
internal static class AccessSplit
{
    /// <summary>True when the access is naturally aligned and at most 4 bytes: nothing to cut.</summary>
    public static bool IsWhole(ulong offset, int size) => size <= 4 && (offset & (ulong)(size - 1)) == 0;

    /// <summary>The largest naturally aligned access at <paramref name="offset"/> that is no longer than what remains.</summary>
    public static int PieceSize(ulong offset, int remaining)
    {
        int piece = 4;
        while (piece > remaining || (offset & (ulong)(piece - 1)) != 0)
        {
            piece >>= 1;
        }

        return piece;
    }
}
