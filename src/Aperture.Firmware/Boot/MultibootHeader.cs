using System.Buffers.Binary;

namespace Aperture.Firmware.Boot;

/// <summary>
/// The header by which a kernel asks for the Multiboot protocol (Multiboot specification 0.6.96, 3.1.1): 32-bit words in the first 8 KiB of the file, at a
/// multiple of four.
/// </summary>
/// <param name="Offset">Where it begins in the file.</param>
/// <param name="Flags">What the kernel asks for.</param>
/// <param name="Addresses">Where the kernel goes when it does not leave that to the ELF headers; else null.</param>
internal readonly record struct MultibootHeader(uint Offset, MultibootFlags Flags, MultibootAddresses? Addresses)
{
    private const uint Magic = 0x1BAD_B002;
    private const int SearchedSize = 8192;
    private const int Size = 12;
    private const int SizeWithAddresses = 32;

    /// <summary>The first header whose checksum holds, or null.</summary>
    public static MultibootHeader? Find(BootFile file)
    {
        byte[] start = new byte[Math.Min(file.Length, SearchedSize)];
        file.Read(0, start);
        for (int at = 0; at + Size <= start.Length; at += 4)
        {
            ReadOnlySpan<byte> words = start.AsSpan(at);
            uint flags = Word(words, 4);
            if (Word(words, 0) == Magic && unchecked(Magic + flags + Word(words, 8)) == 0)
            {
                return Read(file, words, at, (MultibootFlags)flags);
            }
        }

        return null;
    }

    private static MultibootHeader Read(BootFile file, ReadOnlySpan<byte> words, int at, MultibootFlags flags)
    {
        MultibootFlags unknown = flags & MultibootFlags.Required & ~(MultibootFlags.PageAlignedModules | MultibootFlags.MemoryInformation);
        if (unknown != 0)
        {
            throw ElfReader.Damaged(
                file,
                unknown == MultibootFlags.VideoMode
                    ? "asks for a video mode in its Multiboot header, which nobody sets without firmware"
                    : $"has flags 0x{(uint)unknown:x} in its Multiboot header, which 0.6.96 does not define: it may not be started without them");
        }

        if ((flags & MultibootFlags.Addresses) == 0)
        {
            return new MultibootHeader((uint)at, flags, null);
        }

        return words.Length >= SizeWithAddresses
            ? new MultibootHeader((uint)at, flags, new(Word(words, 12), Word(words, 16), Word(words, 20), Word(words, 24), Word(words, 28)))
            : throw ElfReader.Damaged(file, $"is damaged: its Multiboot header at 0x{at:x} does not lie in the first {SearchedSize} bytes");
    }

    private static uint Word(ReadOnlySpan<byte> bytes, int offset) => BinaryPrimitives.ReadUInt32LittleEndian(bytes[offset..]);
}

/// <summary>Flags of the header (3.1.2). A loader that does not know one of the lower sixteen must not start the kernel.</summary>
[Flags]
internal enum MultibootFlags : uint
{
    /// <summary>Modules begin on pages.</summary>
    PageAlignedModules = 1 << 0,

    /// <summary>The information says how much memory there is.</summary>
    MemoryInformation = 1 << 1,

    /// <summary>The kernel wants a video mode set.</summary>
    VideoMode = 1 << 2,

    /// <summary>The flags that a loader must know.</summary>
    Required = 0xFFFF,

    /// <summary>The header says where the kernel goes.</summary>
    Addresses = 1 << 16,
}

/// <summary>The address fields (3.1.3), physical.</summary>
/// <param name="Header">Where the header itself goes.</param>
/// <param name="Load">Where the loaded part begins, at or below the header.</param>
/// <param name="LoadEnd">Where it ends; 0 for the end of the file.</param>
/// <param name="ZeroEnd">Where the zeros behind it end; 0 for none.</param>
/// <param name="Entry">Where the kernel is entered.</param>
internal readonly record struct MultibootAddresses(uint Header, uint Load, uint LoadEnd, uint ZeroEnd, uint Entry);
