namespace Aperture.Firmware;

/// <summary>A part of an ELF kernel that is loaded.</summary>
/// <param name="Address">Physical address (p_paddr).</param>
/// <param name="FileOffset">Where its content begins in the file.</param>
/// <param name="FileSize">Bytes of content.</param>
/// <param name="MemorySize">Bytes in memory; those past the content are zero.</param>
public readonly record struct ElfSegment(GuestAddress Address, ulong FileOffset, ulong FileSize, ulong MemorySize);

/// <summary>An uncompressed kernel in ELF, 32 or 64 bit, that names a PVH entry point.</summary>
public sealed class ElfImage : KernelImage
{
    private ElfImage(BootFile file, IReadOnlyList<ElfSegment> segments, GuestAddress pvhEntry)
        : base(file)
    {
        Segments = segments;
        PvhEntry = pvhEntry;
    }

    /// <summary>The loaded parts by rising address; they do not overlap and lie below 4 GiB.</summary>
    public IReadOnlyList<ElfSegment> Segments { get; }

    /// <summary>The 32-bit entry point of the PVH boot protocol.</summary>
    public GuestAddress PvhEntry { get; }

    internal static ReadOnlySpan<byte> Magic => [0x7F, (byte)'E', (byte)'L', (byte)'F'];

    internal static ElfImage Parse(BootFile file) => throw new NotImplementedException(file.Path);
}
