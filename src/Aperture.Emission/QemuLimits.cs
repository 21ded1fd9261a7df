using System.Numerics;
using Aperture.Placement.Map;
using Aperture.Placement.Platforms;
using Aperture.Placement.Request;

namespace Aperture.Emission;

/// <summary>What QEMU's q35 board makes of RAM and of the 64-bit hole, which decides what its options must say.</summary>
internal static class QemuLimits
{
    private const ulong G = 1UL << 30;

    // The board's default for q35-pcihost.pci-hole64-size.
    private const ulong DefaultHole64 = 32 * G;

    // Past this no address width that a guest may have is left.
    private const ulong MostHole64 = 1UL << 56;

    /// <summary>The fw_cfg item by which OVMF is told the size of its 64-bit window, as a decimal number of MiB (edk2, OvmfPkg/RUNTIME_CONFIG.md).</summary>
    public const string OvmfApertureName = "opt/ovmf/X-PciMmio64Mb";

    // What OVMF has by itself: always before 2023, later where the address width is not known.
    private const ulong OvmfHole64 = 32 * G;

    // OVMF ignores larger values.
    private const ulong MostOvmfHole64 = 1UL << 44;

    /// <summary>Where q35 ends low RAM by itself: 2.75 GiB while all RAM fits below, else 2 GiB.</summary>
    public static ulong UsualLowRam(ulong ram) => ram >= 0xB000_0000 ? 2 * G : 0xB000_0000;

    /// <summary>The end of low RAM to ask for with max-ram-below-4g, or null when the board's own is not above the plan's.</summary>
    public static ulong? MaxRamBelow4G(PlacementRequest request, PlacementMap map)
    {
        ulong start = map.Ram.LowHoleStart.Value;
        ulong usual = Math.Min(UsualLowRam(request.Platform.RamSize), request.Platform.RamSize);
        return usual > start && start >= 1 << 20 ? start : null;
    }

    /// <summary>Bytes of low RAM that the board will have.</summary>
    public static ulong LowRam(PlacementRequest request, PlacementMap map) =>
        Math.Min(request.Platform.RamSize, MaxRamBelow4G(request, map) ?? UsualLowRam(request.Platform.RamSize));

    /// <summary>A 64-bit hole with room for the plan's content and for aligning the largest of it: a power of two, the board's default at least.</summary>
    public static ulong Hole64(PlacementMap map)
    {
        ulong largest = map.Functions.SelectMany(f => f.Bars).Where(b => b.Address.Value >= PlatformLimits.FourGiB).Select(b => b.Size).DefaultIfEmpty().Max();
        UInt128 needed = (UInt128)map.Metrics.HighUsed + largest;
        return needed >= MostHole64 ? MostHole64 : Math.Max(DefaultHole64, BitOperations.RoundUpToPowerOf2((ulong)needed));
    }

    /// <summary>
    /// MiB of 64-bit window to ask of OVMF, or null where what every version has by itself suffices. A version that chooses more by itself keeps that.
    /// </summary>
    public static ulong? OvmfAperture(PlacementMap map) => Hole64(map) > OvmfHole64 ? Math.Min(Hole64(map), MostOvmfHole64) >> 20 : null;

    /// <summary>True when the window is more than OVMF can be told.</summary>
    public static bool IsPastOvmf(PlacementMap map) => Hole64(map) > MostOvmfHole64;

    /// <summary>A size as QEMU's options take it: with its suffix, plain bytes marked as such.</summary>
    public static string Size(ulong bytes)
    {
        string text = ByteSize.Format(bytes);
        return char.IsAsciiDigit(text[^1]) ? text + "B" : text;
    }
}
