using Aperture.Memory;

namespace Aperture.Board.Pc;

/// <summary>A raw firmware image, mapped read-only to end at 4 GiB.</summary>
public static class FirmwareImage
{
    private const long MaxSize = 16 << 20;
    private const ulong PageSize = 4096;

    /// <summary>
    /// Reads <paramref name="path"/> into a block of whole pages; what is missing at the front of the first page reads as ones, as erased flash does.
    /// </summary>
    /// <exception cref="ApertureException">The file cannot be read, is empty, or is larger than 16 MiB.</exception>
    public static RamBlock Load(string path)
    {
        byte[] image = Read(path);
        ulong size = ((ulong)image.Length + PageSize - 1) & ~(PageSize - 1);
        RamBlock block = RamBlock.Create("firmware", size);
        block.AsSpan(0, (int)size).Fill(0xFF);
        block.Write(size - (ulong)image.Length, image);
        return block;
    }

    /// <summary>Where the block goes.</summary>
    internal static GuestAddress Address(RamBlock block) => GuestRam.HighBase - block.Size;

    /// <summary>The bytes of <paramref name="path"/>, as they are.</summary>
    /// <exception cref="ApertureException">As <see cref="Load"/>.</exception>
    public static byte[] Read(string path)
    {
        try
        {
            if (UserFile.Length(path) is { } length and (0 or > MaxSize))
            {
                throw new ApertureException($"--firmware {path} has {length} bytes; a firmware image has 1 byte to 16 MiB.");
            }

            return File.ReadAllBytes(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ApertureException($"--firmware {path} cannot be read: {e.Message}", innerException: e);
        }
    }
}
