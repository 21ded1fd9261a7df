using System.Buffers.Binary;

namespace Aperture.Firmware.Uefi;

/// <summary>
/// What a UEFI image shows of the processor mode that it prepares memory in: the machine type of its security core, the only part that it cannot compress
/// (UEFI PI 1.8, volume 3, chapter 3; the types of the PE/COFF specification).
/// </summary>
public static class SecurityCore
{
    /// <summary>IMAGE_FILE_MACHINE_I386.</summary>
    public const ushort Ia32 = 0x014C;

    /// <summary>IMAGE_FILE_MACHINE_AMD64.</summary>
    public const ushort X64 = 0x8664;

    private const int VolumeAlignment = 8;

    /// <summary>The machine type of the first security core in <paramref name="image"/>; null where there is none, as in a PC BIOS.</summary>
    public static ushort? MachineOf(ReadOnlySpan<byte> image)
    {
        for (int at = 0; at < image.Length; at += VolumeAlignment)
        {
            foreach (VolumeFile file in VolumeFormat.FilesOf(VolumeFormat.VolumeAt(image[at..])))
            {
                if (file.Type == VolumeFile.SecurityCore && MachineOf(file.Sections) is { } machine)
                {
                    return machine;
                }
            }
        }

        return null;
    }

    private static ushort? MachineOf(FileSections sections)
    {
        foreach (FileSection section in sections)
        {
            ushort? machine = section.Type switch
            {
                FileSection.Te => MachineOfTe(section.Body),
                FileSection.Pe32 => MachineOfPe(section.Body),
                _ => null,
            };
            if (machine is not null)
            {
                return machine;
            }
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
}
