using System.Buffers.Binary;

namespace Aperture.Firmware.Boot.X86;

/// <summary>
/// The global descriptor table that a kernel booted without firmware starts with: code at 0x10 and data at 0x18, as the Linux boot protocol
/// wants (Documentation/arch/x86/boot.rst, 64-bit boot protocol), and a task state segment at 0x20. Accessed bits are preset. Pure.
/// </summary>
public static class BootGdt
{
    /// <summary>Bytes: six descriptors, the last of them the upper half of the 64-bit task state segment's.</summary>
    public const int Size = 48;

    /// <summary>The code segment's selector.</summary>
    public const ushort CodeSelector = 0x10;

    /// <summary>The data segments' selector.</summary>
    public const ushort DataSelector = 0x18;

    /// <summary>The task state segment's selector.</summary>
    public const ushort TaskSelector = 0x20;

    // SDM 3A 3.4.5: base 0, limit 4 GiB - 1 in pages; 0xA09B is 64-bit code, 0xC09B 32-bit code, 0xC093 data, all accessed; 0x008B a busy TSS.
    private const ulong Code64 = 0x00AF_9B00_0000_FFFF;
    private const ulong Code32 = 0x00CF_9B00_0000_FFFF;
    private const ulong Data = 0x00CF_9300_0000_FFFF;
    private const ulong Task = 0x0000_8B00_0000_0067;

    /// <summary>Writes the table, its code segment 64-bit or 32-bit.</summary>
    public static void Write(Span<byte> destination, bool longMode)
    {
        ReadOnlySpan<ulong> descriptors = [0, 0, longMode ? Code64 : Code32, Data, Task, 0];
        for (int index = 0; index < descriptors.Length; index++)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(destination[(index * 8)..], descriptors[index]);
        }
    }
}
