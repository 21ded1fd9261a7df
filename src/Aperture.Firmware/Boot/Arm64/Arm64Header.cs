using System.Buffers.Binary;

namespace Aperture.Firmware.Boot.Arm64;

/// <summary>The 64 bytes at the start of an arm64 Linux Image (Documentation/arch/arm64/booting.rst, "Call the kernel image").</summary>
/// <param name="TextOffset">Where the image goes, in bytes from a multiple of 2 MiB.</param>
/// <param name="ImageSize">Memory that it takes from there on, its zeroed data included; 0 before Linux 3.17.</param>
/// <param name="Flags">Bit 0 big-endian; bits 2:1 its page size; bit 3 it may be anywhere in memory.</param>
internal readonly record struct Arm64Header(ulong TextOffset, ulong ImageSize, ulong Flags)
{
    public const int Size = 64;

    // "ARM\x64"
    private const uint Magic = 0x644D_5241;

    public bool IsBigEndian => (Flags & 1) != 0;

    public bool IsAnywhere => (Flags & 8) != 0;

    /// <summary>The header in <paramref name="start"/>; null when it is not one.</summary>
    public static Arm64Header? Read(ReadOnlySpan<byte> start) =>
        start.Length >= Size && BinaryPrimitives.ReadUInt32LittleEndian(start[56..]) == Magic
            ? new Arm64Header(
                BinaryPrimitives.ReadUInt64LittleEndian(start[8..]), BinaryPrimitives.ReadUInt64LittleEndian(start[16..]),
                BinaryPrimitives.ReadUInt64LittleEndian(start[24..]))
            : null;
}
