using System.Buffers.Binary;

namespace Aperture.TestKit.Parts.Kernels;

/// <summary>A small image as UEFI firmware has it: a volume with a file of padding, one that is no code, and a security core of a machine type.</summary>
public static class UefiImage
{
    private const int HeaderSize = 0x48;
    private const int VolumeAt = 0x2000;

    /// <summary>Where the volume's security core begins, for tests that damage it.</summary>
    public const int CoreAt = VolumeAt + 0xB0;

    /// <summary>The image, 16 KiB. The core is a TE image, or a PE image behind a section of another kind.</summary>
    public static byte[] Of(ushort machine, bool terse)
    {
        byte[] image = new byte[0x4000];
        Array.Fill(image, (byte)0xFF);
        Span<byte> volume = image.AsSpan(VolumeAt);
        volume[..HeaderSize].Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(volume[0x20..], 0x2000);
        "_FVH"u8.CopyTo(volume[0x28..]);
        BinaryPrimitives.WriteUInt16LittleEndian(volume[0x30..], HeaderSize);
        int at = File(volume, HeaderSize, 0xF0, new byte[5]);
        at = File(volume, at, 0x01, new byte[0x29]);
        File(volume, at, 0x03, terse ? Section(0x12, Te(machine)) : [.. Section(0x19, new byte[8]), .. Section(0x10, Pe(machine))]);
        return image;
    }

    private static int File(Span<byte> volume, int at, byte type, byte[] body)
    {
        at = (at + 7) & -8;
        volume.Slice(at, 0x18).Clear();
        volume[at + 0x12] = type;
        Size(volume[(at + 0x14)..], 0x18 + body.Length);
        body.CopyTo(volume[(at + 0x18)..]);
        return at + 0x18 + body.Length;
    }

    private static byte[] Section(byte type, byte[] body)
    {
        byte[] section = new byte[(4 + body.Length + 3) & -4];
        Size(section, 4 + body.Length);
        section[3] = type;
        body.CopyTo(section, 4);
        return section;
    }

    private static byte[] Te(ushort machine) => [(byte)'V', (byte)'Z', (byte)machine, (byte)(machine >> 8), .. new byte[60]];

    private static byte[] Pe(ushort machine)
    {
        byte[] image = new byte[0x100];
        image[0x3C] = 0x80;
        "PE\0\0"u8.CopyTo(image.AsSpan(0x80));
        BinaryPrimitives.WriteUInt16LittleEndian(image.AsSpan(0x84), machine);
        return image;
    }

    private static void Size(Span<byte> to, int size) => (to[0], to[1], to[2]) = ((byte)size, (byte)(size >> 8), (byte)(size >> 16));
}
