using System.Buffers.Binary;
using Aperture.Firmware.Memory;
using Aperture.Firmware.Platform;

namespace Aperture.Firmware.FwCfg;

/// <summary>
/// The file <c>etc/e820</c>: the memory map, made anew whenever it is selected, because RAM moves with the chipset's registers. RAM from address 0 is one
/// entry up to the low hole: firmware takes its length for the size of low memory and cuts out the holes itself. The file's size is told before, so it has
/// room for more pieces; spare entries have the type 0, which firmware skips.
/// </summary>
internal sealed class FirmwareMemoryMap : IFirmwareItem
{
    private const int EntrySize = 20;

    // A smaller low hole can split RAM in a low, a remapped and a high piece.
    private const int SpareEntries = 2;

    private readonly Func<PlatformDescription> _describe;
    private readonly IReadOnlyList<MemoryMapEntry> _reservations;
    private readonly Action<string>? _report;
    private readonly byte[] _bytes;

    public FirmwareMemoryMap(PlatformDescription platform, FirmwareConfiguration configuration)
    {
        (_describe, _reservations, _report) = (configuration.Platform, configuration.Reservations, configuration.Report);
        IReadOnlyList<MemoryMapEntry> map = MemoryMap.Build(platform.Ram, _reservations);
        _bytes = new byte[EntrySize * (map.Count + SpareEntries)];
        Store(map);
    }

    public ulong Length => (ulong)_bytes.Length;

    public void Select()
    {
        IReadOnlyList<MemoryMapEntry> map = MemoryMap.Build(_describe().Ram, _reservations);
        if (map.Count * EntrySize > _bytes.Length)
        {
            _report?.Invoke($"the memory map grew to {map.Count} ranges, more than the {_bytes.Length / EntrySize} the firmware was told; it gets the "
                + $"older one");
            return;
        }

        Store(map);
    }

    public bool Read(ulong offset, Span<byte> destination)
    {
        _bytes.AsSpan((int)offset, destination.Length).CopyTo(destination);
        return true;
    }

    private void Store(IReadOnlyList<MemoryMapEntry> map)
    {
        Span<byte> entry = _bytes;
        foreach (MemoryMapEntry range in map)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(entry, range.Range.Start.Value);
            BinaryPrimitives.WriteUInt64LittleEndian(entry[8..], range.Range.Size);
            BinaryPrimitives.WriteUInt32LittleEndian(entry[16..], (uint)range.Kind);
            entry = entry[EntrySize..];
        }

        entry.Clear();
    }
}
