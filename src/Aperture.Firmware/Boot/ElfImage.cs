namespace Aperture.Firmware.Boot;

/// <summary>A part of an ELF kernel that is loaded.</summary>
/// <param name="Address">Physical address (p_paddr).</param>
/// <param name="FileOffset">Where its content begins in the file.</param>
/// <param name="FileSize">Bytes of content.</param>
/// <param name="MemorySize">Bytes in memory; those past the content are zero.</param>
public sealed record ElfSegment(GuestAddress Address, ulong FileOffset, ulong FileSize, ulong MemorySize)
{
    /// <summary>The memory it takes.</summary>
    public AddressRange Range => new(Address, MemorySize);
}

/// <summary>
/// An uncompressed kernel in ELF (Tool Interface Standard ELF 1.2), 32 or 64 bit, that names a PVH entry point (Xen's x86/HVM direct boot
/// ABI, note XEN_ELFNOTE_PHYS32_ENTRY).
/// </summary>
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

    /// <summary>The kernel in <paramref name="file"/>: by PVH where it has the note, else by the Multiboot header that it may have.</summary>
    internal static KernelImage Parse(BootFile file)
    {
        ElfReader reader = ElfReader.Open(file);
        ElfLayout layout = ElfLayout.Read(file, reader);
        if (new ElfNotes(file).FindPvhEntry(layout.Notes) is { } entry)
        {
            return layout.Segments.Any(segment => segment.Range.Contains(entry))
                ? new ElfImage(file, layout.Segments, entry)
                : throw ElfReader.Damaged(file, $"is damaged: its PVH entry {entry} lies in no loaded segment");
        }

        return MultibootHeader.Find(file) is { } header
            ? MultibootImage.Of(file, header, layout, reader.Entry)
            : throw ElfReader.Damaged(file, "has no PVH entry note (build it with CONFIG_PVH, or use its bzImage) and no Multiboot header");
    }
}
