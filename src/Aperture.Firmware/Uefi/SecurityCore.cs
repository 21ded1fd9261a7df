using System.Buffers.Binary;

namespace Aperture.Firmware.Uefi;

/// <summary>
/// What a UEFI image shows of the processor mode that it prepares memory in: the machine type of its security core, the only part that it cannot compress.
/// Volumes, files and sections as in the UEFI Platform Initialization Specification 1.8, volume III, chapter 3; the types of the PE/COFF specification.
/// </summary>
public static class SecurityCore
{
    /// <summary>IMAGE_FILE_MACHINE_I386.</summary>
    public const ushort Ia32 = 0x014C;

    /// <summary>IMAGE_FILE_MACHINE_AMD64.</summary>
    public const ushort X64 = 0x8664;

    // EFI_FIRMWARE_VOLUME_HEADER: its signature "_FVH", the lengths of volume and header, the offset of an extended header.
    private const int SignatureOffset = 0x28;
    private const int VolumeLengthOffset = 0x20;
    private const int HeaderLengthOffset = 0x30;
    private const int ExtendedHeaderOffset = 0x34;
    private const int ExtendedSizeOffset = 0x10;
    private const int VolumeHeaderSize = 0x38;

    // EFI_FFS_FILE_HEADER: type and 24-bit size; the header is part of the size. Files begin at multiples of 8 in their volume.
    private const int FileTypeOffset = 0x12;
    private const int FileSizeOffset = 0x14;
    private const int FileHeaderSize = 0x18;
    private const byte SecurityCoreType = 3;

    // EFI_COMMON_SECTION_HEADER: 24-bit size, type. Sections begin at multiples of 4 in their file.
    private const int SectionHeaderSize = 4;
    private const byte Pe32Section = 0x10;
    private const byte TeSection = 0x12;

    /// <summary>The machine type of the first security core in <paramref name="image"/>; null where there is none, as in a PC BIOS.</summary>
    public static ushort? MachineOf(ReadOnlySpan<byte> image)
    {
        for (int at = 0; at + VolumeHeaderSize <= image.Length; at += 8)
        {
            if (image[(at + SignatureOffset)..].StartsWith("_FVH"u8) && MachineOfVolume(image[at..]) is { } machine)
            {
                return machine;
            }
        }

        return null;
    }

    private static ushort? MachineOfVolume(ReadOnlySpan<byte> volume)
    {
        volume = volume[..(int)Math.Min((ulong)volume.Length, BinaryPrimitives.ReadUInt64LittleEndian(volume[VolumeLengthOffset..]))];
        if (volume.Length < VolumeHeaderSize)
        {
            return null;
        }

        int at = BinaryPrimitives.ReadUInt16LittleEndian(volume[HeaderLengthOffset..]);
        int extended = BinaryPrimitives.ReadUInt16LittleEndian(volume[ExtendedHeaderOffset..]);
        if (extended != 0 && extended + ExtendedSizeOffset + 4 <= volume.Length)
        {
            uint size = BinaryPrimitives.ReadUInt32LittleEndian(volume[(extended + ExtendedSizeOffset)..]);
            at = size <= (uint)volume.Length ? Math.Max(at, extended + (int)size) : volume.Length;
        }

        for (at = Up(at, 8); at + FileHeaderSize <= volume.Length;)
        {
            int size = Size(volume[(at + FileSizeOffset)..]);
            if (size < FileHeaderSize || size > volume.Length - at)
            {
                return null;
            }

            if (volume[at + FileTypeOffset] == SecurityCoreType)
            {
                return MachineOfFile(volume.Slice(at, size));
            }

            at = Up(at + size, 8);
        }

        return null;
    }

    private static ushort? MachineOfFile(ReadOnlySpan<byte> file)
    {
        for (int at = FileHeaderSize; at + SectionHeaderSize <= file.Length;)
        {
            int size = Size(file[at..]);
            if (size < SectionHeaderSize || size > file.Length - at)
            {
                return null;
            }

            ReadOnlySpan<byte> body = file.Slice(at + SectionHeaderSize, size - SectionHeaderSize);
            ushort? machine = file[at + 3] switch
            {
                TeSection => MachineOfTe(body),
                Pe32Section => MachineOfPe(body),
                _ => null,
            };
            if (machine is not null)
            {
                return machine;
            }

            at = Up(at + size, 4);
        }

        return null;
    }

    private static ushort? MachineOfTe(ReadOnlySpan<byte> body) =>
        body.Length >= 4 && body.StartsWith("VZ"u8) ? BinaryPrimitives.ReadUInt16LittleEndian(body[2..]) : null;

    private static ushort? MachineOfPe(ReadOnlySpan<byte> body)
    {
        if (body.Length < 0x40)
        {
            return null;
        }

        uint header = BinaryPrimitives.ReadUInt32LittleEndian(body[0x3C..]);
        return header <= (uint)body.Length - 6 && body[(int)header..].StartsWith("PE\0\0"u8)
            ? BinaryPrimitives.ReadUInt16LittleEndian(body[((int)header + 4)..]) : null;
    }

    private static int Size(ReadOnlySpan<byte> bytes) => bytes[0] | (bytes[1] << 8) | (bytes[2] << 16);

    private static int Up(int value, int granule) => (value + granule - 1) & -granule;
}
