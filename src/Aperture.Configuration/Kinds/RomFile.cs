using System.Numerics;
using Aperture.Pci;

namespace Aperture.Configuration.Kinds;

/// <summary>The room that an expansion ROM's file takes.</summary>
internal static class RomFile
{
    /// <summary>The longest image, in bytes.</summary>
    public static readonly ulong Largest = BarRules.LargestSize(BarKind.Rom);

    /// <summary>
    /// Bytes of the ROM BAR for the image in <paramref name="path"/>: a power of two; 0 when there is no such file, or none of a size that a ROM can have.
    /// </summary>
    public static uint SizeFor(string path)
    {
        return LengthOf(path) is > 0 and { } length && length <= Largest
            ? Math.Max(BitOperations.RoundUpToPowerOf2((uint)length), (uint)BarRules.SmallestSize(BarKind.Rom))
            : 0;
    }

    private static ulong? LengthOf(string path)
    {
        try
        {
            return UserFile.Length(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Whoever reads the file says why it cannot be read.
            return null;
        }
    }
}
