using System.Buffers.Binary;
using System.Text;
using Aperture.Devices.Display;
using Aperture.Pci;

namespace Aperture.Devices.TestDevice;

/// <summary>
/// A test device's expansion ROM: one image of 2 KiB that any firmware accepts and that does nothing, then bytes of 0xFF (PCI Local Bus 3.0, section 6.3.1;
/// PCI Firmware 3.2, section 5.1), or the content of a file. The id stands in the former as text at <see cref="IdOffset"/>, ended by a zero. Writes are
/// dropped.
/// </summary>
public sealed class TestRom : IAccessHandler, IByteRegisters
{
    /// <summary>Bytes of the image, checksum included.</summary>
    public const int ImageSize = 2048;

    /// <summary>Where the device's id stands.</summary>
    public const int IdOffset = 0x40;

    private const int StructureOffset = 0x1C;
    private const int StructureLength = 0x18;
    private const int Block = 512;
    private const byte FarReturn = 0xCB;
    private const byte LastImage = 0x80;

    private readonly byte[] _image;
    private readonly uint _size;

    private static ReadOnlySpan<byte> Signature => [0x55, 0xAA];

    /// <summary>Makes the ROM of the device called <paramref name="id"/>.</summary>
    /// <param name="id">At most 256 ASCII characters.</param>
    /// <param name="identity">Ids and class that the image claims to serve.</param>
    /// <param name="size">Bytes of the ROM BAR, at least <see cref="ImageSize"/>.</param>
    public TestRom(string id, PciIdentity identity, uint size)
    {
        ArgumentNullException.ThrowIfNull(id);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(id.Length, 256, nameof(id));
        ArgumentOutOfRangeException.ThrowIfLessThan(size, (uint)ImageSize);
        _size = size;
        _image = new byte[ImageSize];
        Span<byte> image = _image;
        Signature.CopyTo(image);
        image[2] = ImageSize / Block;
        image[3] = FarReturn; // what firmware calls
        BinaryPrimitives.WriteUInt16LittleEndian(image[0x18..], StructureOffset);
        WriteStructure(image[StructureOffset..], identity);
        Encoding.ASCII.GetBytes(id, image[IdOffset..]);
        image[^1] = Complement(image);
    }

    /// <summary>Makes a ROM of a file's content.</summary>
    /// <param name="path">At most as many bytes as the BAR has, starting with 55 AA.</param>
    /// <param name="size">Bytes of the ROM BAR.</param>
    /// <exception cref="ApertureException">The file cannot be read, or is no expansion ROM.</exception>
    public TestRom(string path, uint size)
    {
        _size = size;
        _image = ExpansionRom.ReadFile(path);
        if (_image.Length > size || !_image.AsSpan().StartsWith(Signature))
        {
            throw new ApertureException($"{path} is no expansion ROM of at most {size} bytes: one starts with the bytes 55 aa");
        }
    }

    /// <inheritdoc/>
    public AccessResult Read(ulong offset, int size, out ulong value) => AccessLanes.ReadBytes(this, _size, offset, size, out value);

    /// <inheritdoc/>
    public AccessResult Write(ulong offset, int size, ulong value) =>
        AccessLanes.Starts(offset, size, _size) ? AccessResult.Ok : AccessResult.Unclaimed;

    byte IByteRegisters.ReadByte(uint offset) => offset < (uint)_image.Length ? _image[offset] : (byte)0xFF;

    void IByteRegisters.WriteByte(uint offset, byte value)
    {
    }

    // The PCI data structure.
    private static void WriteStructure(Span<byte> at, PciIdentity identity)
    {
        "PCIR"u8.CopyTo(at);
        BinaryPrimitives.WriteUInt16LittleEndian(at[0x04..], identity.Vendor);
        BinaryPrimitives.WriteUInt16LittleEndian(at[0x06..], identity.Device);
        BinaryPrimitives.WriteUInt16LittleEndian(at[0x0A..], StructureLength);
        at[0x0D] = (byte)identity.ClassCode;
        at[0x0E] = (byte)(identity.ClassCode >> 8);
        at[0x0F] = (byte)(identity.ClassCode >> 16);
        BinaryPrimitives.WriteUInt16LittleEndian(at[0x10..], ImageSize / Block);
        at[0x15] = LastImage; // code type 0 (PC-AT) stands before it at 0x14
    }

    // The byte that makes all bytes of an image add up to zero.
    private static byte Complement(ReadOnlySpan<byte> image)
    {
        int sum = 0;
        foreach (byte value in image)
        {
            sum += value;
        }

        return (byte)-sum;
    }
}
