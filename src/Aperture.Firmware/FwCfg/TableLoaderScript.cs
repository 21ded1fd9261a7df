using System.Buffers.Binary;
using System.Text;

namespace Aperture.Firmware.FwCfg;

/// <summary>Where firmware puts a blob.</summary>
internal enum LoaderZone : byte
{
    /// <summary>Anywhere below 4 GiB.</summary>
    High = 1,

    /// <summary>In F0000-FFFFF, where root pointers are looked for.</summary>
    FSegment = 2,
}

/// <summary>
/// The script <c>etc/table-loader</c> that firmware carries out to place tables wherever it likes: entries of 128 bytes, each a command number
/// and its operands, little-endian; names are fields of 56 bytes that end in a zero (QEMU hw/acpi/bios-linker-loader.c describes the entries).
/// </summary>
internal sealed class TableLoaderScript
{
    public const int EntrySize = 128;

    private const int NameSize = 56;
    private const uint AllocateCommand = 1;
    private const uint AddPointerCommand = 2;
    private const uint AddChecksumCommand = 3;

    private readonly List<byte> _bytes = [];

    /// <summary>Load <paramref name="file"/> at a multiple of <paramref name="alignment"/> (OVMF takes at most a page).</summary>
    public void Allocate(string file, uint alignment, LoaderZone zone)
    {
        Span<byte> entry = stackalloc byte[EntrySize];
        Begin(entry, AllocateCommand, file);
        BinaryPrimitives.WriteUInt32LittleEndian(entry[(4 + NameSize)..], alignment);
        entry[4 + NameSize + 4] = (byte)zone;
        _bytes.AddRange(entry);
    }

    /// <summary>
    /// Add the address of <paramref name="target"/> to the <paramref name="size"/> bytes at <paramref name="offset"/> of <paramref name="file"/>.
    /// </summary>
    public void AddPointer(string file, string target, uint offset, byte size)
    {
        Span<byte> entry = stackalloc byte[EntrySize];
        Begin(entry, AddPointerCommand, file);
        Encoding.ASCII.GetBytes(target, entry[(4 + NameSize)..]);
        BinaryPrimitives.WriteUInt32LittleEndian(entry[(4 + 2 * NameSize)..], offset);
        entry[4 + 2 * NameSize + 4] = size;
        _bytes.AddRange(entry);
    }

    /// <summary>
    /// Make the sum of <paramref name="length"/> bytes from <paramref name="start"/> zero with the byte at <paramref name="checksum"/>, which must
    /// be 0 in the file: firmware differs in whether it adds to that byte or replaces it.
    /// </summary>
    public void AddChecksum(string file, uint checksum, uint start, uint length)
    {
        Span<byte> entry = stackalloc byte[EntrySize];
        Begin(entry, AddChecksumCommand, file);
        BinaryPrimitives.WriteUInt32LittleEndian(entry[(4 + NameSize)..], checksum);
        BinaryPrimitives.WriteUInt32LittleEndian(entry[(8 + NameSize)..], start);
        BinaryPrimitives.WriteUInt32LittleEndian(entry[(12 + NameSize)..], length);
        _bytes.AddRange(entry);
    }

    /// <summary>The script so far.</summary>
    public byte[] ToArray() => [.. _bytes];

    private static void Begin(Span<byte> entry, uint command, string file)
    {
        entry.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(entry, command);
        Encoding.ASCII.GetBytes(file, entry[4..]);
    }
}
