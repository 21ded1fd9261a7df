using System.Buffers.Binary;
using System.Text;
using Aperture.Firmware.FwCfg;

namespace Aperture.Firmware.Tests.FwCfg;

/// <summary>
/// Places ACPI tables as firmware does: reads the loader script with its own idea of its layout, with the checks that OVMF makes, on a memory of its own.
/// Firmware differs in how it puts a checksum in: OVMF stores it, SeaBIOS subtracts the sum from what is there.
/// </summary>
internal sealed class LittleFirmware(IReadOnlyDictionary<string, IFirmwareItem> files, bool subtracts)
{
    private readonly Dictionary<string, (ulong Address, byte[] Bytes)> _blobs = [];

    public ulong NextHigh { get; set; } = 0x7FE0_0000;

    public ulong NextLow { get; set; } = 0xF_5A20;

    public int Commands { get; private set; }

    public static byte[] Read(IFirmwareItem item)
    {
        item.Select();
        byte[] bytes = new byte[item.Length];
        Assert.True(item.Read(0, bytes));
        return bytes;
    }

    public void Run()
    {
        byte[] script = Read(files["etc/table-loader"]);
        Assert.Equal(0, script.Length % 128);
        for (int at = 0; at < script.Length; at += 128)
        {
            ReadOnlySpan<byte> entry = script.AsSpan(at, 128);
            uint command = BinaryPrimitives.ReadUInt32LittleEndian(entry);
            Commands += command == 0 ? 0 : 1;
            switch (command)
            {
                case 0:
                    Assert.Equal(-1, entry.IndexOfAnyExcept((byte)0));
                    break;
                case 1:
                    Allocate(Name(entry[4..]), U32(entry, 60), entry[64]);
                    break;
                case 2:
                    AddPointer(_blobs[Name(entry[4..])].Bytes, _blobs[Name(entry[60..])], (int)U32(entry, 116), entry[120]);
                    break;
                case 3:
                    AddChecksum(_blobs[Name(entry[4..])].Bytes, (int)U32(entry, 60), (int)U32(entry, 64), (int)U32(entry, 68));
                    break;
                default:
                    Assert.Fail($"command {command}");
                    break;
            }
        }
    }

    public ulong AddressOf(string file) => _blobs[file].Address;

    /// <summary>Guest memory from <paramref name="address"/> to the end of the blob there.</summary>
    public ReadOnlySpan<byte> Memory(ulong address)
    {
        foreach ((ulong start, byte[] bytes) in _blobs.Values)
        {
            if (address >= start && address - start < (ulong)bytes.Length)
            {
                return bytes.AsSpan((int)(address - start));
            }
        }

        Assert.Fail($"nothing at 0x{address:x}");
        return default;
    }

    private static uint U32(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt32LittleEndian(bytes[at..]);

    private static string Name(ReadOnlySpan<byte> field)
    {
        int end = field[..56].IndexOf((byte)0);
        Assert.InRange(end, 1, 55);
        return Encoding.ASCII.GetString(field[..end]);
    }

    private void Allocate(string file, uint alignment, byte zone)
    {
        Assert.InRange(alignment, 1u, 4096u);
        Assert.Equal(0u, alignment & (alignment - 1));
        Assert.InRange(zone, (byte)1, (byte)2);
        byte[] bytes = Read(files[file]);
        ulong next = zone == 2 ? NextLow : NextHigh;
        ulong address = (next + alignment - 1) & ~(alignment - 1UL);
        _ = zone == 2 ? NextLow = address + (ulong)bytes.Length : NextHigh = address + (ulong)bytes.Length;
        Assert.True(_blobs.TryAdd(file, (address, bytes)));
    }

    private static void AddPointer(byte[] blob, (ulong Address, byte[] Bytes) target, int offset, byte size)
    {
        Assert.True(size is 4 or 8 && offset + size <= blob.Length);
        Span<byte> field = blob.AsSpan(offset, size);
        ulong value = size == 4 ? BinaryPrimitives.ReadUInt32LittleEndian(field) : BinaryPrimitives.ReadUInt64LittleEndian(field);
        Assert.True(value < (ulong)target.Bytes.Length);
        value += target.Address;
        for (int i = 0; i < size; i++)
        {
            field[i] = (byte)(value >> (8 * i));
        }
    }

    private void AddChecksum(byte[] blob, int result, int start, int length)
    {
        Assert.True(result < blob.Length && start + length <= blob.Length && result >= start && result < start + length);
        int sum = 0;
        foreach (byte value in blob.AsSpan(start, length))
        {
            sum += value;
        }

        blob[result] = subtracts ? (byte)(blob[result] - sum) : (byte)-sum;
    }
}
