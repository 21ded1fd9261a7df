using Aperture.Firmware.Platform;

namespace Aperture.Firmware.Tests.Fdt;

/// <summary>Machines of Arm's kind that tests describe to a guest.</summary>
internal static class SampleMachines
{
    public static VirtDescription Small { get; } = new()
    {
        Affinities = [0],
        Ram = [Range(0x4000_0000, 512UL << 20)],
        Gic = new GicFrames(Range(0x0800_0000, 0x1_0000), [Range(0x080A_0000, 0xF6_0000)], Range(0x0808_0000, 0x2_0000)),
        Pcie = new PcieRootDescription(
            new EcamRegion(Range(0x40_1000_0000, 256UL << 20), 0, 0, 255), Range(0x3EFF_0000, 0x1_0000), [Range(0x1000_0000, 0x2EFF_0000)],
            [Range(0x80_0000_0000, 1UL << 39)], 3),
        Uart = new MappedDevice(Range(0x0900_0000, 0x1000), 1),
        Rtc = new MappedDevice(Range(0x0901_0000, 0x1000), 2),
        Gpio = new MappedDevice(Range(0x0903_0000, 0x1000), 7),
    };

    /// <summary>512 processors, RAM around a hole, windows in pieces, flash and the firmware's device.</summary>
    public static VirtDescription Large { get; } = Small with
    {
        Affinities = [.. Enumerable.Range(0, 512).Select(i => (ulong)(i & 15 | i >> 4 << 8))],
        Ram = [Range(0x4000_0000, 0x8000_0000), Range(0x1_0000_0000, 64UL << 30)],
        Gic = Small.Gic with { Redistributors = [Range(0x080A_0000, 0xF6_0000), Range(0x0C00_0000, 389 * 0x2_0000)] },
        Pcie = Small.Pcie with
        {
            Ecam = new EcamRegion(Range(0x3F00_0000, 16UL << 20), 1, 0, 15),
            Memory32 = [Range(0x1000_0000, 0x1000_0000), Range(0x3000_0000, 0x100_0000)],
            Memory64 = [Range(0x4000_0000_0000, 1UL << 40), Range(0x6B80_0000_0000, 1UL << 39)],
        },
        FwCfg = Range(0x0902_0000, 0x18),
        EventDevice = new MappedDevice(Range(0x0908_0000, 0x1000), 9),
        Flash = [Range(0, 64UL << 20), Range(0x0400_0000, 64UL << 20)],
        HasPmu = true,
    };

    /// <summary>A processor with an affinity above 24 bits, and no translation of message interrupts.</summary>
    public static VirtDescription Wide { get; } = Small with { Affinities = [0x1_0000_0000, 0x1_0000_0001], Gic = Small.Gic with { Its = null } };

    public static AddressRange Range(ulong start, ulong size) => new(new GuestAddress(start), size);
}
