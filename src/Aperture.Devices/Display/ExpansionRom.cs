using System.Numerics;
using Aperture.Memory;
using Aperture.Pci;

namespace Aperture.Devices.Display;

/// <summary>A function's expansion ROM from a file, in memory that the board maps read-only (PCI Local Bus 3.0, section 6.3).</summary>
public sealed class ExpansionRom : IDisposable
{
    private const int Largest = 16 << 20;

    private ExpansionRom(RamBlock memory) => Memory = memory;

    /// <summary>The image, filled up with 0xFF to <see cref="Size"/>.</summary>
    public RamBlock Memory { get; }

    /// <summary>Bytes of the ROM BAR: a power of two.</summary>
    public ulong Size => Memory.Size;

    /// <summary>Bytes of the ROM BAR for an image of <paramref name="length"/> bytes.</summary>
    public static ulong SizeFor(int length) => Math.Max(BitOperations.RoundUpToPowerOf2((ulong)length), BarRules.SmallestSize(BarKind.Rom));

    /// <summary>Reads an image.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="ApertureException">The file cannot be read, or is no expansion ROM.</exception>
    public static ExpansionRom Load(string path) => FromImage(path, ReadFile(path));

    /// <summary>The bytes of the file <paramref name="path"/>, whatever they are.</summary>
    /// <exception cref="ApertureException">The file cannot be read.</exception>
    internal static byte[] ReadFile(string path)
    {
        try
        {
            return File.ReadAllBytes(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ApertureException($"the expansion ROM {path} cannot be read: {e.Message}", innerException: e);
        }
    }

    /// <summary>Makes a ROM of an image.</summary>
    /// <param name="name">What messages call it.</param>
    /// <param name="image">The image, which starts with 55 AA.</param>
    /// <exception cref="ApertureException">It is no expansion ROM.</exception>
    public static ExpansionRom FromImage(string name, ReadOnlySpan<byte> image)
    {
        if (image.Length is < 512 or > Largest || image[0] != 0x55 || image[1] != 0xAA)
        {
            throw new ApertureException($"{name} is no expansion ROM: one starts with the bytes 55 aa and has 512 bytes to 16 MiB");
        }

        RamBlock memory = RamBlock.Create("expansion-rom", SizeFor(image.Length));
        Span<byte> bytes = memory.AsSpan(0, (int)memory.Size);
        bytes.Fill(0xFF);
        image.CopyTo(bytes);
        return new ExpansionRom(memory);
    }

    /// <summary>Gives the memory back.</summary>
    public void Dispose() => Memory.Dispose();
}
