using System.Buffers.Binary;

namespace Aperture.Firmware.Uefi;

/// <summary>
/// What a UEFI image holds, in volumes inside volumes too, compressed or not (UEFI PI 1.8, volume 3, sections 2 and 3). The image may be anything.
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
    private const int GuidSize = 16;

    /// <summary>True for a build of OVMF that does not start without system management mode: its Secure Boot builds.</summary>
    public static bool NeedManagementMode(ReadOnlySpan<byte> image)
    {
        for (int at = 0; at < image.Length; at += VolumeAlignment)
        {
            if (HasFile(image[at..], SmmAccessPei, MostNesting))
            {
                return true;
            }
        }

        return false;
    }

    private static bool HasFile(ReadOnlySpan<byte> bytes, Guid name, int nesting)
    {
        if (nesting == 0)
        {
            return false;
        }

        foreach (VolumeFile file in VolumeFormat.FilesOf(VolumeFormat.VolumeAt(bytes)))
        {
            if (file.Name == name || (file.Type == VolumeFile.VolumeImage && HasFile(file.Sections, name, nesting)))
            {
                return true;
            }
        }

        return false;
    }

    private static bool HasFile(FileSections sections, Guid name, int nesting)
    {
        if (nesting == 0)
        {
            return false;
        }

        foreach (FileSection section in sections)
        {
            if ((section.Type == FileSection.VolumeImage && HasFile(section.Body, name, nesting - 1))
                || (section.Type == FileSection.Encapsulated && HasFile(new FileSections(Decode(section)), name, nesting - 1)))
            {
                return true;
            }
        }

        return false;
    }

    private static ReadOnlySpan<byte> Decode(FileSection section)
    {
        if (section.Body.Length < GuidSize + 4 || new Guid(section.Body[..GuidSize]) != Lzma)
        {
            return [];
        }

        int data = BinaryPrimitives.ReadUInt16LittleEndian(section.Body[GuidSize..]);
        return data <= section.Whole.Length ? LzmaDecoder.Decode(section.Whole[data..].ToArray(), 0, MostDecoded) : [];
    }
}
