namespace Aperture.Firmware.Boot;

/// <summary>What the program headers of an ELF kernel say: the parts that are loaded, and where its notes are.</summary>
/// <param name="Segments">The loaded parts by rising address; they do not overlap and lie below 4 GiB.</param>
/// <param name="Notes">The note segments; each lies inside the file.</param>
/// <param name="Linked">The loaded parts with the addresses that they are linked for (p_vaddr).</param>
internal sealed record ElfLayout(
    IReadOnlyList<ElfSegment> Segments,
    IReadOnlyList<(ulong Offset, ulong Size)> Notes,
    IReadOnlyList<(ulong Start, ElfSegment Segment)> Linked)
{
    public static ElfLayout Read(BootFile file, ElfReader reader)
    {
        List<ElfSegment> segments = [];
        List<(ulong Offset, ulong Size)> notes = [];
        List<(ulong Start, ElfSegment Segment)> linked = [];
        for (int i = 0; i < reader.HeaderCount; i++)
        {
            ElfProgramHeader header = reader.ProgramHeader(i);
            switch (header.Type)
            {
                case ElfProgramHeader.Load when header.MemorySize != 0:
                    ElfSegment segment = Loaded(file, header);
                    segments.Add(segment);
                    linked.Add((header.VirtualAddress, segment));
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

        return new ElfLayout(segments, notes, linked);
    }

    /// <summary>Where <paramref name="address"/>, as the kernel is linked, is in memory without paging; null when nothing is loaded there.</summary>
    public GuestAddress? Physical(ulong address)
    {
        foreach ((ulong start, ElfSegment segment) in Linked)
        {
            if (address - start < segment.MemorySize)
            {
                return segment.Address + (address - start);
            }
        }

        return null;
    }

    private static ElfSegment Loaded(BootFile file, ElfProgramHeader header)
    {
        CheckInFile(file, header);
        if (header.MemorySize < header.FileSize)
        {
            throw ElfReader.Damaged(file, $"is damaged: a segment has {header.FileSize} bytes in the file, but {header.MemorySize} in memory");
        }

        // PVH and Multiboot start without paging in 32-bit mode: nothing above 4 GiB can be part of the kernel.
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
