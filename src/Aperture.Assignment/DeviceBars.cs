using System.Numerics;
using Aperture.Pci;

namespace Aperture.Assignment;

/// <summary>A BAR that a device has.</summary>
/// <param name="Index">Its number, 0 to 5; <see cref="BarKinds.RomIndex"/> for the expansion ROM.</param>
/// <param name="Kind">What its register says.</param>
/// <param name="Size">Bytes, a power of two.</param>
public readonly record struct DeviceBar(int Index, BarKind Kind, ulong Size);

/// <summary>What BARs a device has that is open but not in a guest yet: a mediated one, of which the host's files tell nothing.</summary>
public static class DeviceBars
{
    /// <summary>The BARs in order, then the expansion ROM; without those that no function could have.</summary>
    /// <exception cref="ApertureException">The device does not answer.</exception>
    public static IReadOnlyList<DeviceBar> Read(IVfioDevice device)
    {
        ArgumentNullException.ThrowIfNull(device);
        List<DeviceBar> bars = BarLayout.Read(device, PhysicalConfig.Snapshot(device), []);
        ulong rom = device.Regions.FirstOrDefault(r => r.Index == VfioRegionIndex.Rom)?.Size ?? 0;
        if (rom is > 0 && rom <= BarRules.LargestSize(BarKind.Rom))
        {
            ulong size = Math.Max(BarRules.SmallestSize(BarKind.Rom), BitOperations.RoundUpToPowerOf2(rom));
            bars.Add(new DeviceBar(BarKinds.RomIndex, BarKind.Rom, size));
        }

        return bars;
    }
}
