namespace Aperture.Firmware.Boot;

/// <summary>
/// A kernel in ELF, 32 or 64 bit, that has a header for the Multiboot protocol (Multiboot specification 0.6.96): the format of most small test kernels. It is
/// entered in 32-bit mode, whatever its file's word size is.
/// </summary>
public sealed class MultibootImage : KernelImage
{
    private MultibootImage(BootFile file, IReadOnlyList<ElfSegment> segments, GuestAddress entry)
        : base(file)
    {
        Segments = segments;
        Entry = entry;
    }

    /// <summary>The loaded parts by rising address; they do not overlap and lie below 4 GiB.</summary>
    public IReadOnlyList<ElfSegment> Segments { get; }

    /// <summary>Where it is entered.</summary>
    public GuestAddress Entry { get; }

    /// <summary>The kernel in <paramref name="file"/>: where its header says, or else where the ELF headers do.</summary>
    /// <exception cref="ApertureException">The headers contradict each other.</exception>
    internal static MultibootImage Of(BootFile file, MultibootHeader header, ElfLayout layout, ulong elfEntry)
    {
        if (header.Addresses is { } addresses)
        {
            ElfSegment whole = Placed(file, header.Offset, addresses);
            GuestAddress start = new(addresses.Entry);
            return whole.Range.Contains(start)
                ? new MultibootImage(file, [whole], start)
                : throw ElfReader.Damaged(file, $"is damaged: its Multiboot entry {start} lies in nothing that is loaded");
        }

        GuestAddress entry = layout.Physical(elfEntry) ?? throw ElfReader.Damaged(file, $"is damaged: its entry 0x{elfEntry:x} lies in no loaded segment");
        return new MultibootImage(file, layout.Segments, entry);
    }

    private static ElfSegment Placed(BootFile file, uint headerOffset, MultibootAddresses at)
    {
        ulong before = at.Header - at.Load;
        if (at.Load > at.Header || before > headerOffset)
        {
            throw ElfReader.Damaged(
                file,
                $"is damaged: its Multiboot header at 0x{headerOffset:x} of the file cannot be at 0x{at.Header:x} when it is loaded from "
                    + $"0x{at.Load:x} on");
        }

        ulong offset = headerOffset - before;
        ulong loaded = at.LoadEnd == 0 ? file.Length - offset : (ulong)at.LoadEnd - at.Load;
        ulong size = at.ZeroEnd == 0 ? loaded : (ulong)at.ZeroEnd - at.Load;
        bool ordered = (at.LoadEnd == 0 || at.LoadEnd > at.Load) && (at.ZeroEnd == 0 || at.ZeroEnd > at.Load) && size >= loaded;
        if (!ordered || loaded > file.Length - offset || at.Load + size - 1 > uint.MaxValue)
        {
            throw ElfReader.Damaged(
                file,
                $"is damaged: the addresses of its Multiboot header (0x{at.Load:x} to 0x{at.LoadEnd:x}, zeros to 0x{at.ZeroEnd:x}) do not fit its "
                    + $"0x{file.Length:x} bytes");
        }

        return new ElfSegment(new GuestAddress(at.Load), offset, loaded, size);
    }
}
