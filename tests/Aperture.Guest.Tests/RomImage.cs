using System.Buffers.Binary;

namespace Aperture.Guest.Tests;

/// <summary>Images of expansion ROMs (PCI Firmware 3.3, section 5.1: signature, size, and the data structure that says how long the image is). 4 KiB.</summary>
internal static class RomImage
{
    private const int Data = 0x1C;

    /// <summary>One that no device has.</summary>
    public static byte[] Given { get; } = Make(1);

    /// <summary>The one in the ROM of 0000:07:00.0.</summary>
    public static byte[] Own { get; } = Make(2);

    private static byte[] Make(byte fill)
    {
        byte[] image = new byte[4096];
        image.AsSpan().Fill(fill);
        image.AsSpan(0, 0x40).Clear();
        (image[0], image[1], image[2]) = (0x55, 0xAA, 8);
        BinaryPrimitives.WriteUInt16LittleEndian(image.AsSpan(0x18), Data);
        "PCIR"u8.CopyTo(image.AsSpan(Data));
        BinaryPrimitives.WriteUInt16LittleEndian(image.AsSpan(Data + 4), 0x1B36);
        BinaryPrimitives.WriteUInt16LittleEndian(image.AsSpan(Data + 6), 0x0010);
        BinaryPrimitives.WriteUInt16LittleEndian(image.AsSpan(Data + 0x0A), 0x18);
        BinaryPrimitives.WriteUInt16LittleEndian(image.AsSpan(Data + 0x10), 8);
        image[Data + 0x14] = 1;
        image[Data + 0x15] = 0x80;
        return image;
    }
}
