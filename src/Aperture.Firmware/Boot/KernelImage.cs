using Aperture.Firmware.Boot.Arm64;
using Aperture.Firmware.Boot.X86;

namespace Aperture.Firmware.Boot;

/// <summary>A kernel file of a kind that can be booted directly. Only its headers are read; the rest stays in the file until it is loaded.</summary>
public abstract class KernelImage : IDisposable
{
    private protected KernelImage(BootFile file) => File = file;

    /// <summary>The open file.</summary>
    public BootFile File { get; }

    /// <summary>Which processors it is for.</summary>
    public virtual KernelArchitecture Architecture => KernelArchitecture.X86;

    /// <summary>Opens <paramref name="path"/> and finds out what it is.</summary>
    /// <param name="path">The file.</param>
    /// <param name="byFirmware">Firmware will start it, at its 16-bit entry or as a UEFI program, so that it needs no 64-bit entry.</param>
    /// <returns>A <see cref="BzImage"/>, an <see cref="ElfImage"/>, a <see cref="MultibootImage"/> or an <see cref="Arm64Image"/>.</returns>
    /// <exception cref="ApertureException">The file cannot be read, is neither kind, or is damaged.</exception>
    public static KernelImage Open(string path, bool byFirmware = false)
    {
        BootFile file = BootFile.Open(path, "kernel");
        try
        {
            return Parse(file, byFirmware);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        File.Dispose();
        GC.SuppressFinalize(this);
    }

    private static KernelImage Parse(BootFile file, bool byFirmware)
    {
        Span<byte> start = stackalloc byte[(int)Math.Min(file.Length, 6)];
        file.Read(0, start);
        if (start.StartsWith(ElfImage.Magic))
        {
            return ElfImage.Parse(file);
        }

        if (BzImage.IsBzImage(file))
        {
            return BzImage.Parse(file, byFirmware);
        }

        if (Arm64Image.Parse(file, byFirmware) is { } arm)
        {
            return arm;
        }

        if (Compression(start) is { } how)
        {
            throw new ApertureException($"kernel {file.Path} is compressed with {how}; uncompress it first");
        }

        throw new ApertureException($"kernel {file.Path} is neither a bzImage (no HdrS at 0x202) nor an ELF file nor an arm64 Image");
    }

    private static string? Compression(ReadOnlySpan<byte> start) =>
        start.StartsWith(GzipMagic) ? "gzip"
        : start.StartsWith(XzMagic) ? "xz"
        : start.StartsWith(ZstdMagic) ? "zstd"
        : start.StartsWith(Bzip2Magic) ? "bzip2"
        : null;

    private static ReadOnlySpan<byte> GzipMagic => [0x1F, 0x8B];

    private static ReadOnlySpan<byte> XzMagic => [0xFD, (byte)'7', (byte)'z', (byte)'X', (byte)'Z', 0];

    private static ReadOnlySpan<byte> ZstdMagic => [0x28, 0xB5, 0x2F, 0xFD];

    private static ReadOnlySpan<byte> Bzip2Magic => "BZh"u8;
}
