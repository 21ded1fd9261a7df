using System.IO.Compression;

namespace Aperture.Host.Reading;

/// <summary>What a file's first bytes say it is.</summary>
internal enum FileFormat : byte
{
    /// <summary>None of the others.</summary>
    Text,

    /// <summary>A tar archive.</summary>
    Tar,

    /// <summary>gzip (RFC 1952).</summary>
    Gzip,

    /// <summary>bzip2.</summary>
    Bzip2,

    /// <summary>xz.</summary>
    Xz,

    /// <summary>Zstandard (RFC 8878).</summary>
    Zstd,
}

/// <summary>Tells formats apart and unpacks them.</summary>
internal static class Unpacker
{
    private const int TarBlock = 512;

    /// <summary>Tells what <paramref name="start"/>, the first bytes of a file, begins.</summary>
    internal static FileFormat Detect(ReadOnlySpan<byte> start) => start switch
    {
        [0x1F, 0x8B, ..] => FileFormat.Gzip,
        [(byte)'B', (byte)'Z', (byte)'h', >= (byte)'1' and <= (byte)'9', ..] => FileFormat.Bzip2,
        [0xFD, (byte)'7', (byte)'z', (byte)'X', (byte)'Z', 0, ..] => FileFormat.Xz,
        [0x28, 0xB5, 0x2F, 0xFD, ..] => FileFormat.Zstd,
        _ => IsTar(start) ? FileFormat.Tar : FileFormat.Text,
    };

    /// <summary>What unpacks <paramref name="packed"/>; null for the formats that are not compressed.</summary>
    /// <exception cref="ApertureException">The format is one that is not read.</exception>
    internal static Stream? Open(FileFormat format, Stream packed, string name) => format switch
    {
        FileFormat.Gzip => new GZipStream(packed, CompressionMode.Decompress, leaveOpen: true),
        FileFormat.Bzip2 => new Bzip2Stream(packed),
        FileFormat.Xz => throw new ApertureException($"{name}: is compressed with xz, which is not read: unpack it with 'xz -d' first"),
        FileFormat.Zstd => throw new ApertureException($"{name}: is compressed with Zstandard, which is not read: unpack it with 'zstd -d' first"),
        _ => null,
    };

    /// <summary>True when the block is a tar header by its checksum (POSIX.1-2017 pax, "ustar Interchange Format"): the old formats have no magic.</summary>
    private static bool IsTar(ReadOnlySpan<byte> start)
    {
        if (start.Length < TarBlock)
        {
            return false;
        }

        int sum = 0;
        for (int i = 0; i < TarBlock; i++)
        {
            sum += i is >= 148 and < 156 ? ' ' : start[i];
        }

        int claimed = 0;
        foreach (byte b in start.Slice(148, 8))
        {
            claimed = b is >= (byte)'0' and <= (byte)'7' ? claimed << 3 | b - '0' : claimed;
        }

        return sum == claimed && start[0] != 0;
    }
}
