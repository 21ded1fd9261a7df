using System.Buffers.Binary;

namespace Aperture.Firmware.Uefi;

/// <summary>
/// Looks into a UEFI image (UEFI PI 1.8, volume 3, sections 2 and 3): firmware volumes hold files, files hold sections, and a section may hold a volume, or
/// compressed sections. The image may be anything; what is not understood is passed over.
/// </summary>
public static class FirmwareVolumes
{
    // EDK II, OvmfPkg/SmmAccess/SmmAccessPei.inf: the module that sets SMRAM up and stops the machine when it cannot. Only builds that need the mode have it.
    private static readonly Guid SmmAccessPei = new("6c0e75b4-b0b9-44d1-8210-3377d7b4e066");

    // UEFI PI 1.8, volume 3, 3.2.5: a section whose content is LZMA.
    private static readonly Guid Lzma = new("ee4e5898-3914-4259-9d6e-dc7bd79403cf");

    // Module and volume of the phase before memory come first; OVMF's take less than 1 MiB.
    private const int MostDecoded = 2 << 20;
    private const int MostNesting = 4;
    private const int VolumeAlignment = 4096;
    private const int VolumeHeader = 56;
    private const int FileHeader = 24;
    private const int LargeFileHeader = 32;
    private const int SectionHeader = 4;
    private const int LargeSectionHeader = 8;
    private const int GuidSize = 16;
    private const byte GuidSection = 0x02;
    private const byte VolumeSection = 0x17;
    private const byte VolumeFile = 0x0B;

    /// <summary>True for a build of OVMF that does not start without system management mode: its Secure Boot builds.</summary>
    public static bool NeedManagementMode(ReadOnlySpan<byte> image)
    {
        for (int at = 0; at + VolumeHeader <= image.Length; at += VolumeAlignment)
        {
            if (VolumeAt(image[at..]) is { } length && HasFile(image.Slice(at, length), SmmAccessPei, MostNesting))
            {
                return true;
            }
        }

        return false;
    }

    // The bytes of the volume that begins here, as far as there are any; null when none begins.
    private static int? VolumeAt(ReadOnlySpan<byte> bytes) => bytes.Length >= VolumeHeader && bytes.Slice(40, 4).SequenceEqual("_FVH"u8)
        ? (int)Math.Min(BinaryPrimitives.ReadUInt64LittleEndian(bytes[32..]), (ulong)bytes.Length)
        : null;

    private static bool HasFile(ReadOnlySpan<byte> volume, Guid name, int nesting)
    {
        if (nesting == 0 || VolumeAt(volume) is null)
        {
            return false;
        }

        ulong extended = BinaryPrimitives.ReadUInt16LittleEndian(volume[52..]);
        ulong at = BinaryPrimitives.ReadUInt16LittleEndian(volume[48..]);
        if (extended != 0 && extended + GuidSize + 4 <= (ulong)volume.Length)
        {
            at = extended + BinaryPrimitives.ReadUInt32LittleEndian(volume[(int)(extended + GuidSize)..]);
        }

        for (at = AlignUp(at, 8); at + FileHeader <= (ulong)volume.Length;)
        {
            ReadOnlySpan<byte> file = volume[(int)at..];
            bool isLarge = (file[19] & 1) != 0 && file.Length >= LargeFileHeader;
            int header = isLarge ? LargeFileHeader : FileHeader;
            ulong size = isLarge ? BinaryPrimitives.ReadUInt64LittleEndian(file[FileHeader..]) : ReadUInt24(file[20..]);
            if (size < (ulong)header || size > (ulong)file.Length)
            {
                return false;
            }

            if (new Guid(file[..GuidSize]) == name
                || (file[18] == VolumeFile && SectionsHaveFile(file[header..(int)size], name, nesting)))
            {
                return true;
            }

            at = AlignUp(at + size, 8);
        }

        return false;
    }

    private static bool SectionsHaveFile(ReadOnlySpan<byte> sections, Guid name, int nesting)
    {
        while (nesting > 0 && sections.Length >= LargeSectionHeader)
        {
            bool isLarge = ReadUInt24(sections) == 0xFF_FFFF;
            int header = isLarge ? LargeSectionHeader : SectionHeader;
            uint size = isLarge ? BinaryPrimitives.ReadUInt32LittleEndian(sections[SectionHeader..]) : ReadUInt24(sections);
            if (size < header)
            {
                return false;
            }

            // Of what was decoded in part, the last section is cut.
            ReadOnlySpan<byte> section = sections[..(int)Math.Min(size, (uint)sections.Length)];
            if ((section[3] == VolumeSection && HasFile(section[header..], name, nesting - 1))
                || (section[3] == GuidSection && SectionsHaveFile(Decode(section, header), name, nesting - 1)))
            {
                return true;
            }

            sections = sections[(int)Math.Min(AlignUp(size, 4), (ulong)sections.Length)..];
        }

        return false;
    }

    private static ReadOnlySpan<byte> Decode(ReadOnlySpan<byte> section, int header)
    {
        if (section.Length < header + GuidSize + 4 || new Guid(section.Slice(header, GuidSize)) != Lzma)
        {
            return [];
        }

        int data = BinaryPrimitives.ReadUInt16LittleEndian(section[(header + GuidSize)..]);
        return data <= section.Length ? LzmaDecoder.Decode(section[data..].ToArray(), 0, MostDecoded) : [];
    }

    private static uint ReadUInt24(ReadOnlySpan<byte> bytes) => bytes[0] | (uint)bytes[1] << 8 | (uint)bytes[2] << 16;

    private static ulong AlignUp(ulong value, ulong to) => (value + to - 1) & ~(to - 1);
}
