using System.Buffers.Binary;

namespace Aperture.Firmware.Boot;

/// <summary>Walks the notes of an ELF file: name size, descriptor size, type, name, descriptor, the last two filled up to four bytes.</summary>
internal sealed class ElfNotes(BootFile file)
{
    private const uint Physical32Entry = 18;
    private const int NoteHeader = 12;

    /// <summary>A kernel has a few dozen notes; a file that has more is made to waste time.</summary>
    private const int MostNotes = 4096;

    private int _seen;

    /// <summary>The entry of the first note that names one, or null.</summary>
    /// <param name="segments">Note segments; each lies inside the file.</param>
    public GuestAddress? FindPvhEntry(IEnumerable<(ulong Offset, ulong Size)> segments)
    {
        foreach ((ulong offset, ulong size) in segments)
        {
            if (FindIn(offset, offset + size) is { } entry)
            {
                return entry;
            }
        }

        return null;
    }

    private GuestAddress? FindIn(ulong at, ulong end)
    {
        Span<byte> header = stackalloc byte[NoteHeader];
        while (end - at >= NoteHeader)
        {
            if (_seen++ == MostNotes)
            {
                throw ElfReader.Damaged(file, $"is damaged: it has more than {MostNotes} notes");
            }

            file.Read(at, header);
            ulong nameSize = BinaryPrimitives.ReadUInt32LittleEndian(header);
            ulong descriptorSize = BinaryPrimitives.ReadUInt32LittleEndian(header[4..]);
            uint type = BinaryPrimitives.ReadUInt32LittleEndian(header[8..]);
            ulong descriptorAt = at + NoteHeader + Fill(nameSize);
            if (descriptorAt > end || descriptorSize > end - descriptorAt)
            {
                throw ElfReader.Damaged(file, $"is damaged: the note at 0x{at:x} passes the end of its segment");
            }

            if (type == Physical32Entry && nameSize == 4 && descriptorSize is 4 or 8 && IsXen(at + NoteHeader))
            {
                return Entry(descriptorAt, (int)descriptorSize);
            }

            at = Math.Min(descriptorAt + Fill(descriptorSize), end);
        }

        return null;
    }

    private GuestAddress Entry(ulong at, int size)
    {
        Span<byte> value = stackalloc byte[8];
        value.Clear();
        file.Read(at, value[..size]);
        return new GuestAddress(BinaryPrimitives.ReadUInt64LittleEndian(value));
    }

    private bool IsXen(ulong at)
    {
        Span<byte> name = stackalloc byte[4];
        file.Read(at, name);
        return name.SequenceEqual("Xen\0"u8);
    }

    private static ulong Fill(ulong size) => (size + 3) & ~3UL;
}
