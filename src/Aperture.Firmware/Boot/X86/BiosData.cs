using System.Buffers.Binary;
using Aperture.Firmware.Memory;

namespace Aperture.Firmware.Boot.X86;

/// <summary>
/// What a PC's BIOS leaves in low memory and kernels read there: where the extended BIOS data area is and how large the memory below it, in the BIOS data area
/// at 400h, and the extended area's size in its first byte.
/// </summary>
public static class BiosData
{
    // Words of the BIOS data area: the extended area's real-mode segment, and KiB below it.
    private static readonly GuestAddress ExtendedSegment = new(0x40E);
    private static readonly GuestAddress LowMemory = new(0x413);

    /// <summary>The pieces, which lie outside of what a kernel is loaded to.</summary>
    public static IReadOnlyList<BootSegment> Segments { get; } =
    [
        new("BIOS data area", ExtendedSegment, Word(MemoryMap.ExtendedBiosData.Start.Value >> 4)),
        new("BIOS data area", LowMemory, Word(MemoryMap.ExtendedBiosData.Start.Value >> 10)),
        new("extended BIOS data area", MemoryMap.ExtendedBiosData.Start, new byte[] { (byte)(MemoryMap.ExtendedBiosData.Size >> 10) }),
    ];

    private static byte[] Word(ulong value)
    {
        byte[] bytes = new byte[2];
        BinaryPrimitives.WriteUInt16LittleEndian(bytes, (ushort)value);
        return bytes;
    }
}
