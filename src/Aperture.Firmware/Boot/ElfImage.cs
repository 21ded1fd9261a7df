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

    internal static ElfImage Parse(BootFile file)
    {
        ElfReader reader = ElfReader.Open(file);
        List<ElfSegment> segments = [];
        List<(ulong Offset, ulong Size)> notes = [];
        for (int i = 0; i < reader.HeaderCount; i++)
        {
            ElfProgramHeader header = reader.ProgramHeader(i);
            switch (header.Type)
            {
                case ElfProgramHeader.Load when header.MemorySize != 0:
                    segments.Add(Loaded(file, header));
                    break;
                case ElfProgramHeader.Note:
                    CheckInFile(file, header);
                    notes.Add((header.Offset, header.FileSize));
                    break;
            }
        }

        if (segments.Count == 0)
        {
            throw ElfReader.Damaged(file, "has nothing to load (no PT_LOAD segment)");
        }

        segments.Sort(static (left, right) => left.Range.CompareTo(right.Range));
        for (int i = 1; i < segments.Count; i++)
        {
            if (segments[i - 1].Range.Overlaps(segments[i].Range))
            {
                throw ElfReader.Damaged(file, $"is damaged: its segments {segments[i - 1].Range} and {segments[i].Range} overlap");
            }
        }

        GuestAddress entry = new ElfNotes(file).FindPvhEntry(notes)
            ?? throw ElfReader.Damaged(file, "has no PVH entry note (build it with CONFIG_PVH, or use its bzImage)");
        return segments.Exists(segment => segment.Range.Contains(entry))
            ? new ElfImage(file, segments, entry)
            : throw ElfReader.Damaged(file, $"is damaged: its PVH entry {entry} lies in no loaded segment");
    }

    private static ElfSegment Loaded(BootFile file, ElfProgramHeader header)
    {
        CheckInFile(file, header);
        if (header.MemorySize < header.FileSize)
        {
            throw ElfReader.Damaged(file, $"is damaged: a segment has {header.FileSize} bytes in the file, but {header.MemorySize} in memory");
        }

        // PVH starts without paging in 32-bit mode: nothing above 4 GiB can be part of the kernel.
        var address = new GuestAddress(header.PhysicalAddress);
        return AddressRange.Fits(address, header.MemorySize) && new AddressRange(address, header.MemorySize).Last.Value <= uint.MaxValue
            ? new ElfSegment(address, header.Offset, header.FileSize, header.MemorySize)
            : throw ElfReader.Damaged(file, $"has a segment of 0x{header.MemorySize:x} bytes at {address}, which passes 4 GiB");
    }

    private static void CheckInFile(BootFile file, ElfProgramHeader header)
    {
        if (header.Offset > file.Length || header.FileSize > file.Length - header.Offset)
        {
            throw ElfReader.Damaged(
                file,
                $"is truncated: a segment takes 0x{header.FileSize:x} bytes at 0x{header.Offset:x}, the file has 0x{file.Length:x}");
        }
    }
}
