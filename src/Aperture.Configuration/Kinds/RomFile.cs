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
        FileInfo file = new(path);
        return file.Exists && file.Length > 0 && (ulong)file.Length <= Largest
            ? Math.Max(BitOperations.RoundUpToPowerOf2((uint)file.Length), (uint)BarRules.SmallestSize(BarKind.Rom))
            : 0;
    }
}
