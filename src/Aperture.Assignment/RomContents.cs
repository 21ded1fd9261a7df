using System.Numerics;
using Aperture.Memory;
using Aperture.Pci;
using Aperture.Pci.Registers;

namespace Aperture.Assignment;

/// <summary>The expansion ROM that the guest sees: a copy, read once, so that guest reads never reach the device.</summary>
internal static class RomContents
{
    private const int Chunk = 64 << 10;

    /// <summary>
    /// The ROM as the options ask for it, in a block of the BAR's size; null for none. A ROM of the device that cannot be read is left out, with a note.
    /// </summary>
    /// <exception cref="ApertureException">The image has a size that no ROM has, or the host has no memory.</exception>
    public static RamBlock? Make(IVfioDevice device, AssignedOptions options, PhysicalConfig physical, List<string> notes) => options.Rom switch
    {
        RomSource.Image => FromImage(options),
        RomSource.Device => FromDevice(device, options, physical, notes),
        _ => null,
    };

    private static RamBlock FromImage(AssignedOptions options)
    {
        ulong largest = BarRules.LargestSize(BarKind.Rom);
        if (options.RomImage.IsEmpty || (ulong)options.RomImage.Length > largest)
        {
            throw new ApertureException($"{options.Name}: a ROM image has 1 byte to {ByteSize.Format(largest)}; this one has {options.RomImage.Length} bytes");
        }

        RamBlock block = RamBlock.Create($"{options.Name} rom", SizeFor((ulong)options.RomImage.Length));
        block.Write(0, options.RomImage.Span);
        return block;
    }

    private static RamBlock? FromDevice(IVfioDevice device, AssignedOptions options, PhysicalConfig physical, List<string> notes)
    {
        ulong size = device.Regions.FirstOrDefault(r => r.Index == VfioRegionIndex.Rom)?.Size ?? 0;
        if (size == 0 || size > BarRules.LargestSize(BarKind.Rom))
        {
            return null;
        }

        byte[] bytes = new byte[size];
        int errno = 0;

        // The kernel reads the ROM only while the device decodes memory.
        physical.Give(PciCommand.MemorySpace);
        for (int at = 0; at < bytes.Length && errno == 0; at += Chunk)
        {
            errno = device.Read(VfioRegionIndex.Rom, (ulong)at, bytes.AsSpan(at, Math.Min(Chunk, bytes.Length - at)));
        }

        physical.Take(PciCommand.None);
        if (errno != 0 || bytes is not [0x55, 0xAA, ..])
        {
            // PCI Firmware 3.0, section 5.1.1: an image begins with 0x55, 0xAA.
            notes.Add(errno != 0 ? $"the ROM is left out: reading it failed with {Linux.Errno.Name(errno)}" : "the ROM is left out: it holds no image");
            return null;
        }

        RamBlock block = RamBlock.Create($"{options.Name} rom", SizeFor(size));
        block.Write(0, bytes);
        return block;
    }

    private static ulong SizeFor(ulong bytes) => Math.Max(BarRules.SmallestSize(BarKind.Rom), BitOperations.RoundUpToPowerOf2(bytes));
}
