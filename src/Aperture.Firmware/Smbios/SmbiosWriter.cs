using System.Buffers.Binary;
using System.Text;
using Aperture.Firmware.Acpi;

namespace Aperture.Firmware.Smbios;

/// <summary>
/// Appends SMBIOS structures: a formatted area of fixed length, then its strings, each ended by a zero, then one more zero; a structure without
/// strings ends in two (SMBIOS 3.7 6.1). Fields hold string numbers from 1 on, or 0 for none.
/// </summary>
internal sealed class SmbiosWriter
{
    private const int LongestString = 64;

    private readonly List<byte> _bytes = [];
    private readonly List<string> _strings = [];
    private int _start;
    private int _formatted;

    public int Count { get; private set; }

    public int Largest { get; private set; }

    public SmbiosWriter Begin(byte type, byte length, ushort handle)
    {
        _start = _bytes.Count;
        _formatted = length;
        _strings.Clear();
        return U8(type).U8(length).U16(handle);
    }

    public SmbiosWriter U8(byte value)
    {
        _bytes.Add(value);
        return this;
    }

    public SmbiosWriter U16(ushort value) => U8((byte)value).U8((byte)(value >> 8));

    public SmbiosWriter U32(uint value) => U16((ushort)value).U16((ushort)(value >> 16));

    public SmbiosWriter U64(ulong value) => U32((uint)value).U32((uint)(value >> 32));

    public SmbiosWriter Append(ReadOnlySpan<byte> bytes)
    {
        _bytes.AddRange(bytes);
        return this;
    }

    public SmbiosWriter Text(string text)
    {
        if (text.Length == 0)
        {
            return U8(0);
        }

        if (text.Length > LongestString || !text.All(static c => c is >= ' ' and <= '~'))
        {
            throw new ApertureException($"'{text}' cannot stand in SMBIOS: up to {LongestString} printable ASCII characters can");
        }

        _strings.Add(text);
        return U8((byte)_strings.Count);
    }

    public void End()
    {
        if (_bytes.Count - _start != _formatted)
        {
            throw new InvalidOperationException($"SMBIOS structure type {_bytes[_start]} has {_bytes.Count - _start} bytes, not {_formatted}");
        }

        foreach (string text in _strings)
        {
            _bytes.AddRange(Encoding.ASCII.GetBytes(text));
            _bytes.Add(0);
        }

        U8(0);
        if (_strings.Count == 0)
        {
            U8(0);
        }

        Count++;
        Largest = Math.Max(Largest, _bytes.Count - _start);
    }

    public byte[] ToArray() => [.. _bytes];

    /// <summary>The 2.1 (32-bit) entry point (SMBIOS 3.7 5.2.1), its table address 0 for firmware to fill in.</summary>
    public byte[] EntryPoint()
    {
        byte[] anchor = new byte[31];
        "_SM_"u8.CopyTo(anchor);
        anchor[5] = (byte)anchor.Length;
        anchor[6] = 2;
        anchor[7] = 8;
        BinaryPrimitives.WriteUInt16LittleEndian(anchor.AsSpan(8), (ushort)Largest);
        "_DMI_"u8.CopyTo(anchor.AsSpan(16));
        BinaryPrimitives.WriteUInt16LittleEndian(anchor.AsSpan(22), (ushort)_bytes.Count);
        BinaryPrimitives.WriteUInt16LittleEndian(anchor.AsSpan(28), (ushort)Count);
        anchor[30] = 0x28;
        anchor[21] = AcpiTableBuilder.Checksum(anchor.AsSpan(16));
        anchor[4] = AcpiTableBuilder.Checksum(anchor);
        return anchor;
    }
}
