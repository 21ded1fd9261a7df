using System.Buffers.Binary;
using System.Text;

namespace Aperture.Firmware.Acpi;

/// <summary>A growing system description table: the standard header (ACPI 6.5 5.2.6), then whatever is appended.</summary>
internal sealed class AcpiTableBuilder
{
    public const int HeaderSize = 36;

    private const int LengthOffset = 4;
    private const int ChecksumOffset = 9;

    private readonly List<byte> _bytes = new(256);

    public AcpiTableBuilder(string signature, byte revision)
    {
        Ascii(signature, 4);
        U32(0);
        U8(revision);
        U8(0);
        Ascii(OemId, 6);
        Ascii(OemTableId, 8);
        U32(1);
        Ascii("APRT", 4);
        U32(1);
    }

    public static string OemId => "APRTUR";

    public static string OemTableId => "APERTURE";

    public AcpiTableBuilder U8(byte value)
    {
        _bytes.Add(value);
        return this;
    }

    public AcpiTableBuilder U16(ushort value) => U8((byte)value).U8((byte)(value >> 8));

    public AcpiTableBuilder U32(uint value) => U16((ushort)value).U16((ushort)(value >> 16));

    public AcpiTableBuilder U64(ulong value) => U32((uint)value).U32((uint)(value >> 32));

    public AcpiTableBuilder Zeros(int count)
    {
        _bytes.AddRange(new byte[count]);
        return this;
    }

    public AcpiTableBuilder Append(ReadOnlySpan<byte> bytes)
    {
        _bytes.AddRange(bytes);
        return this;
    }

    /// <summary>A generic address structure (ACPI 6.5 5.2.3.2) for I/O ports; <paramref name="bytes"/> 0 makes an absent one.</summary>
    public AcpiTableBuilder IoAddress(ushort port, byte bytes)
    {
        if (bytes == 0)
        {
            return Zeros(12);
        }

        // Access size: 1 byte = 1, word = 2, dword = 3; blocks longer than that are read in bytes.
        return IoAddress(port, bytes, (byte)(bytes switch { 2 => 2, 4 => 3, _ => 1 }));
    }

    /// <summary>As the other overload, for a block that is accessed in bytes whatever its length.</summary>
    public AcpiTableBuilder IoByteBlock(ushort port, byte bytes) => bytes == 0 ? Zeros(12) : IoAddress(port, bytes, accessSize: 1);

    private AcpiTableBuilder IoAddress(ushort port, byte bytes, byte accessSize) =>
        U8(1).U8((byte)(bytes * 8)).U8(0).U8(accessSize).U64(port);

    /// <summary>The table's bytes with length and checksum filled in.</summary>
    public byte[] Finish()
    {
        byte[] table = [.. _bytes];
        BinaryPrimitives.WriteUInt32LittleEndian(table.AsSpan(LengthOffset), (uint)table.Length);
        table[ChecksumOffset] = Checksum(table);
        return table;
    }

    /// <summary>The byte that makes the sum of all bytes 0 modulo 256.</summary>
    public static byte Checksum(ReadOnlySpan<byte> bytes)
    {
        byte sum = 0;
        foreach (byte value in bytes)
        {
            sum += value;
        }

        return (byte)-sum;
    }

    private void Ascii(string text, int length) => _bytes.AddRange(Encoding.ASCII.GetBytes(text.PadRight(length)));
}
