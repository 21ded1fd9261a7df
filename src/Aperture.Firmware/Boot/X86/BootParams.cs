using System.Buffers.Binary;
using Aperture.Firmware.Memory;

namespace Aperture.Firmware.Boot.X86;

/// <summary>Builds Linux's boot_params, the zero page (Documentation/arch/x86/zero-page.rst).</summary>
public static class BootParams
{
    /// <summary>The structure's size in bytes.</summary>
    public const int Size = 4096;

    /// <summary>How many memory ranges the page has room for.</summary>
    public const int MostMemoryRanges = 128;

    private const int AcpiRsdp = 0x70;
    private const int ExtRamdiskImage = 0xC0;
    private const int ExtRamdiskSize = 0xC4;
    private const int MemoryRangeCount = 0x1E8;
    private const int VideoMode = 0x1FA;
    private const int TypeOfLoader = 0x210;
    private const int LoadFlags = 0x211;
    private const int Code32Start = 0x214;
    private const int RamdiskImage = 0x218;
    private const int RamdiskSize = 0x21C;
    private const int CommandLinePointer = 0x228;
    private const int SetupData = 0x250;
    private const int MemoryRanges = 0x2D0;
    private const int MemoryRangeSize = 20;

    /// <summary>No assigned loader id.</summary>
    private const byte UndefinedLoader = 0xFF;

    /// <summary>loadflags: LOADED_HIGH (0) as the kernel has it; KEEP_SEGMENTS (6), QUIET (5) and CAN_USE_HEAP (7) off, for no loader asks for them.</summary>
    private const byte KeptLoadFlags = 0x01;

    /// <summary>vid_mode "normal".</summary>
    private const ushort NormalVideoMode = 0xFFFF;

    /// <summary>Makes the page.</summary>
    /// <param name="kernel">Whose setup header is copied in.</param>
    /// <param name="load">Where its protected-mode part goes.</param>
    /// <param name="commandLine">Where the zero-terminated command line goes; below 4 GiB.</param>
    /// <param name="initramfs">Where the initramfs goes; empty for none.</param>
    /// <param name="rsdp">The ACPI root pointer, or 0 to let the kernel search.</param>
    /// <param name="map">The memory map.</param>
    /// <exception cref="ApertureException">The map has more than <see cref="MostMemoryRanges"/> ranges.</exception>
    public static byte[] Build(
        BzImage kernel,
        GuestAddress load,
        GuestAddress commandLine,
        AddressRange initramfs,
        GuestAddress rsdp,
        IReadOnlyList<MemoryMapEntry> map)
    {
        ArgumentNullException.ThrowIfNull(kernel);
        ArgumentNullException.ThrowIfNull(map);
        if (map.Count > MostMemoryRanges)
        {
            throw new ApertureException($"the memory map has {map.Count} ranges, but Linux's zero page holds {MostMemoryRanges}");
        }

        byte[] page = new byte[Size];
        kernel.Header.CopyTo(page.AsSpan(BzImage.HeaderStart));
        BinaryPrimitives.WriteUInt64LittleEndian(page.AsSpan(AcpiRsdp), rsdp.Value);
        BinaryPrimitives.WriteUInt16LittleEndian(page.AsSpan(VideoMode), NormalVideoMode);
        page[TypeOfLoader] = UndefinedLoader;
        page[LoadFlags] = (byte)(kernel.LoadFlags & KeptLoadFlags);
        Dword(page, Code32Start, (uint)load.Value);
        Dword(page, RamdiskImage, (uint)initramfs.Start.Value);
        Dword(page, ExtRamdiskImage, (uint)(initramfs.Start.Value >> 32));
        Dword(page, RamdiskSize, (uint)initramfs.Size);
        Dword(page, ExtRamdiskSize, (uint)(initramfs.Size >> 32));
        Dword(page, CommandLinePointer, (uint)commandLine.Value);

        // What the file says here would be followed as a list in guest memory.
        BinaryPrimitives.WriteUInt64LittleEndian(page.AsSpan(SetupData), 0);
        page[MemoryRangeCount] = (byte)map.Count;
        for (int i = 0; i < map.Count; i++)
        {
            Span<byte> slot = page.AsSpan(MemoryRanges + i * MemoryRangeSize);
            BinaryPrimitives.WriteUInt64LittleEndian(slot, map[i].Range.Start.Value);
            BinaryPrimitives.WriteUInt64LittleEndian(slot[8..], map[i].Range.Size);
            BinaryPrimitives.WriteUInt32LittleEndian(slot[16..], (uint)map[i].Kind);
        }

        return page;
    }

    private static void Dword(byte[] page, int offset, uint value) =>
        BinaryPrimitives.WriteUInt32LittleEndian(page.AsSpan(offset), value);
}
