using System.Buffers.Binary;
using Aperture.Firmware.Memory;

namespace Aperture.Firmware.Boot.X86;

/// <summary>
/// Builds the information that a Multiboot kernel gets in EBX (Multiboot specification 0.6.96, 3.3), with the list of modules, the memory map and the loader's
/// name right behind it.
/// </summary>
public static class MultibootInformation
{
    /// <summary>What a kernel finds in EAX.</summary>
    public const uint LoaderMagic = 0x2BAD_B002;

    private const int InfoSize = 116;
    private const int ModuleSize = 16;
    private const int RangeSize = 24;

    // What of a range's entry its own size field does not count: that field.
    private const uint RangeSizeField = 4;

    private const ulong FirstMiB = 1 << 20;
    private const ulong Lower = 640 << 10;

    [Flags]
    private enum Present : uint
    {
        Memory = 1 << 0,
        CommandLine = 1 << 2,
        Modules = 1 << 3,
        MemoryMap = 1 << 6,
        LoaderName = 1 << 9,
    }

    private static ReadOnlySpan<byte> LoaderName => "Aperture\0"u8;

    /// <summary>Bytes the whole takes.</summary>
    public static int SizeFor(bool hasInitramfs, int memoryRanges) =>
        InfoSize + (hasInitramfs ? ModuleSize : 0) + memoryRanges * RangeSize + LoaderName.Length;

    /// <summary>Makes the structure for the address <paramref name="at"/>.</summary>
    /// <param name="at">Where it will lie, below 4 GiB; its own pointers count on it.</param>
    /// <param name="commandLine">Where the zero-terminated command line goes.</param>
    /// <param name="initramfs">Where the initramfs goes, which is the only module; empty for none.</param>
    /// <param name="map">The memory map; its kinds have the same numbers here (3.3, mmap).</param>
    public static byte[] Build(GuestAddress at, GuestAddress commandLine, AddressRange initramfs, IReadOnlyList<MemoryMapEntry> map)
    {
        ArgumentNullException.ThrowIfNull(map);
        byte[] bytes = new byte[SizeFor(!initramfs.IsEmpty, map.Count)];
        int modules = initramfs.IsEmpty ? 0 : 1;
        int ranges = InfoSize + modules * ModuleSize;
        int name = ranges + map.Count * RangeSize;

        // flags, mem_lower and mem_upper in KiB, cmdline.
        Dword(bytes, 0, (uint)(Present.Memory | Present.CommandLine | Present.Modules | Present.MemoryMap | Present.LoaderName));
        Dword(bytes, 4, (uint)(Math.Min(RamFrom(map, 0), Lower) >> 10));
        Dword(bytes, 8, (uint)(RamFrom(map, FirstMiB) >> 10));
        Dword(bytes, 16, (uint)commandLine.Value);

        // mods_count, mods_addr, mmap_length, mmap_addr, boot_loader_name.
        Dword(bytes, 20, (uint)modules);
        Dword(bytes, 24, modules == 0 ? 0 : (uint)at.Value + InfoSize);
        Dword(bytes, 44, (uint)(map.Count * RangeSize));
        Dword(bytes, 48, (uint)(at.Value + (ulong)ranges));
        Dword(bytes, 64, (uint)(at.Value + (ulong)name));
        if (modules != 0)
        {
            // mod_start, and mod_end, the first byte behind it; without a string of its own the module has the empty one.
            Dword(bytes, InfoSize, (uint)initramfs.Start.Value);
            Dword(bytes, InfoSize + 4, (uint)(initramfs.Last.Value + 1));
            Dword(bytes, InfoSize + 8, (uint)(at.Value + (ulong)(name + LoaderName.Length - 1)));
        }

        for (int i = 0; i < map.Count; i++)
        {
            int slot = ranges + i * RangeSize;
            Dword(bytes, slot, RangeSize - RangeSizeField);
            Qword(bytes, slot + 4, map[i].Range.Start.Value);
            Qword(bytes, slot + 12, map[i].Range.Size);
            Dword(bytes, slot + 20, (uint)map[i].Kind);
        }

        LoaderName.CopyTo(bytes.AsSpan(name));
        return bytes;
    }

    /// <summary>Bytes of RAM in one piece from <paramref name="start"/> on, below 4 GiB.</summary>
    private static ulong RamFrom(IReadOnlyList<MemoryMapEntry> map, ulong start)
    {
        MemoryMapEntry? ram = map.FirstOrDefault(entry => entry.Kind == MemoryKind.Ram && entry.Range.Contains(new GuestAddress(start)));
        return ram is null ? 0 : Math.Min(ram.Range.Last.Value, uint.MaxValue) - start + 1;
    }

    private static void Dword(byte[] bytes, int offset, uint value) =>
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(offset), value);

    private static void Qword(byte[] bytes, int offset, ulong value) =>
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(offset), value);
}
