using System.Buffers.Binary;

namespace Aperture.Firmware.Boot.Arm64;

/// <summary>An arm64 Linux Image, as it is or in a compressed form of its own build (Documentation/arch/arm64/booting.rst).</summary>
public sealed class Arm64Image : KernelImage
{
    // Where a 32-bit Arm zImage has its magic number (arch/arm/boot/compressed/head.S).
    private const int ZImageMagicAt = 0x24;
    private const uint ZImageMagic = 0x016F_2818;

    // What unpacking takes is kept for the next reset.
    private readonly byte[]? _unpacked;
    private readonly Arm64Header _header;

    private Arm64Image(BootFile file, Arm64Header header, byte[]? unpacked)
        : base(file)
    {
        (_header, _unpacked) = (header, unpacked);
        Length = unpacked is null ? file.Length : (ulong)unpacked.Length;
    }

    /// <inheritdoc/>
    public override KernelArchitecture Architecture => KernelArchitecture.Arm64;

    /// <summary>Where it goes, in bytes from a multiple of 2 MiB.</summary>
    public ulong TextOffset => _header.TextOffset;

    /// <summary>Bytes of content.</summary>
    public ulong Length { get; }

    /// <summary>Memory that it takes, content included.</summary>
    public ulong MemorySize => Math.Max(_header.ImageSize, Length);

    /// <summary>It may be anywhere in memory; else as near to the start of RAM as possible.</summary>
    public bool IsAnywhere => _header.IsAnywhere;

    /// <summary>The content at <paramref name="address"/>, with zeros to the end of its memory.</summary>
    internal BootSegment At(GuestAddress address) => _unpacked is null
        ? new BootSegment("kernel", address, File, 0, Length, MemorySize - Length)
        : new BootSegment("kernel", address, _unpacked) { ZeroTail = MemorySize - Length };

    /// <summary>The kernel in <paramref name="file"/>; null when it is nothing for arm64.</summary>
    /// <param name="file">The open file.</param>
    /// <param name="byFirmware">Firmware unpacks what is a UEFI program.</param>
    /// <exception cref="ApertureException">It is one that cannot be booted.</exception>
    internal static Arm64Image? Parse(BootFile file, bool byFirmware)
    {
        Span<byte> start = stackalloc byte[(int)Math.Min(file.Length, Arm64Header.Size)];
        file.Read(0, start);
        if (Arm64Header.Read(start) is { } plain)
        {
            return Checked(file, plain, null);
        }

        if (start.Length >= ZImageMagicAt + 4 && BinaryPrimitives.ReadUInt32LittleEndian(start[ZImageMagicAt..]) == ZImageMagic)
        {
            throw new ApertureException($"kernel {file.Path} is a 32-bit Arm kernel (zImage), which no machine here boots; use an arm64 Image");
        }

        if (PackedImage.Find(file) is not { } packed)
        {
            return null;
        }

        // A gzip file may hold anything; only an arm64 Image in it is for this reader.
        if (packed.Start(file, Arm64Header.Size) is not { } unpacked)
        {
            return byFirmware ? new Arm64Image(file, default, null) : throw new ApertureException(
                $"kernel {file.Path} is packed with {packed.Method}, which is not read; firmware starts it (--firmware), or unpack it first");
        }

        return Arm64Header.Read(unpacked) is { } header ? Checked(file, header, byFirmware ? null : packed.All(file)) : null;
    }

    private static Arm64Image Checked(BootFile file, Arm64Header header, byte[]? unpacked)
    {
        const ulong Most = 1UL << 30;
        if (header.IsBigEndian)
        {
            throw new ApertureException($"kernel {file.Path} is big-endian, and the virt board starts little-endian kernels only");
        }

        if (header.ImageSize == 0)
        {
            throw new ApertureException($"kernel {file.Path} does not say how much memory it takes: it is older than Linux 3.17, the oldest that is booted");
        }

        return header.ImageSize <= Most && header.TextOffset <= Most
            ? new Arm64Image(file, header, unpacked)
            : throw new ApertureException($"kernel {file.Path} is damaged: it claims 0x{header.ImageSize:x} bytes at 0x{header.TextOffset:x}");
    }
}
