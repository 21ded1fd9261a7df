using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;
using SharpCompress.Common;
using SharpCompress.Compressors.ZStandard;

namespace Aperture.Firmware.Boot.Arm64;

/// <summary>
/// An arm64 Image in a compressed form that its build makes: <c>Image.gz</c>, or a UEFI program that holds the Image (CONFIG_EFI_ZBOOT; Linux
/// drivers/firmware/efi/libstub/zboot-header.S). Neither unpacks itself without firmware, so the boot loader does.
/// </summary>
/// <param name="Offset">Where the packed bytes begin in the file.</param>
/// <param name="Length">How many there are.</param>
/// <param name="Method">How they are packed, as the file says.</param>
internal sealed record PackedImage(ulong Offset, ulong Length, string Method)
{
    /// <summary>The most that is unpacked: larger than any kernel, small enough for a host.</summary>
    public const int MostUnpacked = 512 << 20;

    // Of a zboot file: "MZ", 0, 0, "zimg", then offset and size of the packed bytes, two unused words, the method.
    private const int ZbootHeader = 0x38;
    private const int Piece = 1 << 20;

    /// <summary>What of an arm64 Image is packed in <paramref name="file"/>; null when nothing that is known.</summary>
    /// <exception cref="ApertureException">The file says that there is something, and it is not.</exception>
    public static PackedImage? Find(BootFile file)
    {
        Span<byte> start = stackalloc byte[(int)Math.Min(file.Length, ZbootHeader)];
        file.Read(0, start);
        if (start.Length == ZbootHeader && start.StartsWith("MZ\0\0zimg"u8))
        {
            uint offset = BinaryPrimitives.ReadUInt32LittleEndian(start[8..]);
            uint length = BinaryPrimitives.ReadUInt32LittleEndian(start[12..]);
            if (offset > file.Length || length > file.Length - offset)
            {
                throw new ApertureException(
                    $"kernel {file.Path} is truncated: its packed part ends at {(ulong)offset + length} bytes, the file at {file.Length}");
            }

            ReadOnlySpan<byte> method = start[24..];
            int end = method.IndexOf((byte)0);
            return new PackedImage(offset, length, Encoding.ASCII.GetString(end < 0 ? method : method[..end]));
        }

        return start.Length > 2 && start[0] == 0x1F && start[1] == 0x8B ? new PackedImage(0, file.Length, "gzip") : null;
    }

    /// <summary>The first <paramref name="count"/> unpacked bytes, fewer if there are no more; null when the method is one that is not read.</summary>
    /// <exception cref="ApertureException">The packed bytes are damaged.</exception>
    public byte[]? Start(BootFile file, int count) => Unpack(file, count);

    /// <summary>All unpacked bytes.</summary>
    /// <exception cref="ApertureException">The packed bytes are damaged, or too many.</exception>
    public byte[] All(BootFile file) => Unpack(file, MostUnpacked + 1) is { } bytes && bytes.Length <= MostUnpacked
        ? bytes
        : throw new ApertureException($"kernel {file.Path} unpacks to more than {ByteSize.Format(MostUnpacked)}, which is not a kernel");

    private byte[]? Unpack(BootFile file, int most)
    {
        byte[] packed = new byte[(int)Math.Min(Length, int.MaxValue / 2)];
        file.Read(Offset, packed);
        using MemoryStream source = new(packed);
        using Stream? stream = Method switch
        {
            "gzip" => new GZipStream(source, CompressionMode.Decompress),
            _ when Method.StartsWith("zstd", StringComparison.Ordinal) => new DecompressionStream(source),
            _ => null,
        };
        return stream is null ? null : Drain(file, stream, most);
    }

    private static byte[] Drain(BootFile file, Stream stream, int most)
    {
        using MemoryStream output = new();
        byte[] piece = new byte[Math.Min(Piece, most)];
        try
        {
            int read;
            while (output.Length < most && (read = stream.Read(piece, 0, (int)Math.Min(piece.Length, most - output.Length))) > 0)
            {
                output.Write(piece, 0, read);
            }
        }
        catch (Exception fault) when (fault is InvalidDataException or EndOfStreamException or SharpCompressException or IOException)
        {
            throw new ApertureException($"kernel {file.Path} is damaged: its packed part cannot be unpacked ({fault.Message})", innerException: fault);
        }

        return output.ToArray();
    }
}
