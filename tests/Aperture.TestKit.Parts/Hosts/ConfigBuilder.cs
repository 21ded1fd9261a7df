using System.Buffers.Binary;
using Aperture.Host.Model;

namespace Aperture.TestKit.Parts.Hosts;

/// <summary>Writes configuration space by hand, register by register, from the specification's offsets.</summary>
public sealed class ConfigBuilder
{
    private readonly byte[] _bytes;
    private int _nextCapability = 0x40;
    private int _lastCapability = 0x34;
    private int _nextExtended = 0x100;
    private int _lastExtended;

    public ConfigBuilder(int length = 4096, ushort vendor = 0x1234, ushort device = 0x5678, uint classCode = 0x020000, byte header = 0)
    {
        _bytes = new byte[length];
        U16(0, vendor).U16(2, device).U32(8, classCode << 8 | 1).U8(0x0E, header).U16(4, 7);
    }

    public byte[] Bytes => _bytes;

    /// <summary>Where the next extended capability goes.</summary>
    public int NextExtended => _nextExtended;

    public ConfigBuilder U8(int at, byte value)
    {
        _bytes[at] = value;
        return this;
    }

    public ConfigBuilder U16(int at, int value)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(_bytes.AsSpan(at), (ushort)value);
        return this;
    }

    public ConfigBuilder U32(int at, uint value)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(_bytes.AsSpan(at), value);
        return this;
    }

    public ConfigBuilder Bar64(int index, ulong address, bool prefetchable = true) =>
        U32(0x10 + 4 * index, (uint)address | 4u | (prefetchable ? 8u : 0)).U32(0x14 + 4 * index, (uint)(address >> 32));

    public ConfigBuilder Bar32(int index, uint address) => U32(0x10 + 4 * index, address);

    public ConfigBuilder Capability(byte id, params ushort[] words)
    {
        U16(6, 0x10).U8(_lastCapability, (byte)_nextCapability).U8(_nextCapability, id);
        _lastCapability = _nextCapability + 1;
        for (int i = 0; i < words.Length; i++)
        {
            U16(_nextCapability + 2 + 2 * i, words[i]);
        }

        _nextCapability += (2 + 2 * words.Length + 3) & ~3;
        return this;
    }

    public ConfigBuilder Express(HostPortType type, int slot = -1)
    {
        // Version 2, 60 bytes, so that the second set of device registers is there.
        int at = _nextCapability;
        ushort[] words = new ushort[29];
        words[0] = (ushort)(2 | (int)type << 4 | (slot >= 0 ? 1 << 8 : 0));
        return Capability(0x10, words).U32(at + 0x14, slot >= 0 ? (uint)slot << 19 : 0);
    }

    public ConfigBuilder Extended(ushort id, params uint[] words)
    {
        int at = _nextExtended;
        U32(at, 0x10000u | id);
        for (int i = 0; i < words.Length; i++)
        {
            U32(at + 4 + 4 * i, words[i]);
        }

        if (_lastExtended != 0)
        {
            U16(_lastExtended + 2, at << 4 | 1);
        }

        _lastExtended = at;
        _nextExtended += 4 + 4 * words.Length;
        return this;
    }

    public ConfigBuilder Acs(ushort enabled, ushort offered = 0x5F) => Extended(0x0D, (uint)enabled << 16 | offered);

    /// <summary>A bridge header with both memory windows; a window of size 0 is closed.</summary>
    public static ConfigBuilder Bridge(
        byte secondary, byte subordinate, HostPortType type, uint memory = 0, uint memorySize = 0, ulong prefetchable = 0, ulong prefetchableSize = 0,
        int length = 4096)
    {
        ConfigBuilder config = new ConfigBuilder(length, classCode: 0x060400, header: 1).U8(0x19, secondary).U8(0x1A, subordinate);
        ulong memoryLast = memorySize == 0 ? 0 : memory + memorySize - 1;
        config.U16(0x20, memorySize == 0 ? 0xFFF0 : (int)(memory >> 16)).U16(0x22, (int)(memoryLast >> 16 & 0xFFF0));
        ulong last = prefetchableSize == 0 ? 0 : prefetchable + prefetchableSize - 1;
        config.U16(0x24, (int)((prefetchableSize == 0 ? 0xFFF0 : prefetchable >> 16 & 0xFFF0) | 1)).U16(0x26, (int)(last >> 16 & 0xFFF0) | 1);
        config.U32(0x28, (uint)(prefetchable >> 32)).U32(0x2C, (uint)(last >> 32)).U16(0x1C, 0x00F0);
        return length > 64 ? config.Express(type) : config;
    }
}
