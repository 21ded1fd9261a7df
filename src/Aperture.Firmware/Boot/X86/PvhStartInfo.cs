using System.Buffers.Binary;
using Aperture.Firmware.Memory;

namespace Aperture.Firmware.Boot.X86;

/// <summary>
/// Builds PVH's hvm_start_info, version 1, with its module list and memory map right behind it (Xen public header arch-x86/hvm/start_info.h).
/// </summary>
public static class PvhStartInfo
{
    private const uint Magic = 0x336E_C578;
    private const int InfoSize = 56;
    private const int ModuleSize = 32;
    private const int RangeSize = 24;

    /// <summary>Bytes the whole takes.</summary>
    public static int SizeFor(bool hasInitramfs, int memoryRanges) =>
        InfoSize + (hasInitramfs ? ModuleSize : 0) + memoryRanges * RangeSize;

    /// <summary>Makes the structure for the address <paramref name="at"/>.</summary>
    /// <param name="at">Where it will lie; its own pointers count on it.</param>
    /// <param name="commandLine">Where the zero-terminated command line goes.</param>
    /// <param name="initramfs">Where the initramfs goes; empty for none.</param>
    /// <param name="rsdp">The ACPI root pointer, or 0.</param>
    /// <param name="map">The memory map.</param>
    public static byte[] Build(
        GuestAddress at,
        GuestAddress commandLine,
        AddressRange initramfs,
        GuestAddress rsdp,
        IReadOnlyList<MemoryMapEntry> map)
    {
        ArgumentNullException.ThrowIfNull(map);
        byte[] bytes = new byte[SizeFor(!initramfs.IsEmpty, map.Count)];
        int modules = initramfs.IsEmpty ? 0 : 1;
        int ranges = InfoSize + modules * ModuleSize;

        // magic, version, flags, nr_modules.
        Dword(bytes, 0, Magic);
        Dword(bytes, 4, 1);
        Dword(bytes, 12, (uint)modules);

        // modlist, cmdline, rsdp and memmap addresses, memmap_entries.
        Qword(bytes, 16, modules == 0 ? 0 : at.Value + InfoSize);
        Qword(bytes, 24, commandLine.Value);
        Qword(bytes, 32, rsdp.Value);
        Qword(bytes, 40, at.Value + (ulong)ranges);
        Dword(bytes, 48, (uint)map.Count);
        if (modules != 0)
        {
            Qword(bytes, InfoSize, initramfs.Start.Value);
            Qword(bytes, InfoSize + 8, initramfs.Size);
        }

        for (int i = 0; i < map.Count; i++)
        {
            int slot = ranges + i * RangeSize;
            Qword(bytes, slot, map[i].Range.Start.Value);
            Qword(bytes, slot + 8, map[i].Range.Size);
            Dword(bytes, slot + 16, (uint)map[i].Kind);
        }

        return bytes;
    }

    private static void Dword(byte[] bytes, int offset, uint value) =>
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(offset), value);

    private static void Qword(byte[] bytes, int offset, ulong value) =>
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(offset), value);
}
