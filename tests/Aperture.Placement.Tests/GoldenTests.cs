using Aperture.Pci;
using Aperture.Placement.Platforms;
using Aperture.Placement.Request;
using static Aperture.Placement.Tests.Build;

namespace Aperture.Placement.Tests;

/// <summary>
/// Maps as layout version 1 makes them. Guests depend on them: when one of these differs, either the change is a mistake or it needs a
/// new layout version.
/// </summary>
public class GoldenTests
{
    [Theory]
    [InlineData("switch")]
    [InlineData("accelerators")]
    [InlineData("hole")]
    [InlineData("narrow")]
    [InlineData("virt")]
    public void Layout_version_1_does_not_change(string name)
    {
        string expected = File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "Golden", name + ".txt"));
        string actual = PlacementMapText.Format(Build.Map(Make(name)));
        Assert.True(expected == actual, $"{name} is now:\n{actual}");
    }

    private static PlacementRequest Make(string name) => name switch
    {
        // Three devices behind a switch, every kind of BAR, two pins.
        "switch" => RequestFor(
            Device("mch", 0),
            Bridge("rp0", 1, Bridge("up0", 0,
                Bridge("dn0", 0, Device("a", 0, Bar(0, BarKind.Memory32, M), Bar(2, BarKind.Memory64Prefetchable, 64 * G, 0x6b80_0000_0000),
                    Bar(4, BarKind.Io, 256), Bar(6, BarKind.Rom, 64 * K))),
                Bridge("dn1", 1, Device(
                    "b", 0, Bar(0, BarKind.Memory64, 16 * K), Bar(2, BarKind.Memory32Prefetchable, 16 * M), Bar(4, BarKind.Memory64Prefetchable, 256 * M))),
                Bridge("dn2", 2, Device("c", 0, Bar(0, BarKind.Memory32, 64 * K, 0xE000_0000), Bar(1, BarKind.Io, 32))))),
            Device("lpc", 31)),
        "accelerators" => RequestFor(
            PlatformLimits.Q35(256 * G, 46),
            [.. Enumerable.Range(0, 8)
                .Select(index => Bridge(
                    $"rp{index}", index + 1,
                    Device($"gpu{index}", 0, Bar(0, BarKind.Memory32, 16 * M), Bar(1, BarKind.Memory64Prefetchable, 64 * G),
                        Bar(3, BarKind.Memory64Prefetchable, 32 * M), Bar(5, BarKind.Io, 128))))]),
        "hole" => RequestFor(
            PlatformLimits.Q35(8 * G, 40) with { Ecam = new EcamDemand(256 * M, null) },
            Device("fb", 1, Bar(0, BarKind.Memory32Prefetchable, G)),
            Device("nic", 2, Bar(0, BarKind.Memory32, 128 * K), Bar(1, BarKind.Io, 64), Bar(6, BarKind.Rom, 256 * K))),
        "virt" => RequestFor(
            PlatformLimits.Virt(6 * G, 44),
            Bridge("rp0", 1, Device("gpu", 0, Bar(0, BarKind.Memory32, 16 * M), Bar(1, BarKind.Memory64Prefetchable, 32 * G), Bar(5, BarKind.Io, 128))),
            Bridge("rp1", 2, Device("nic", 0, Bar(0, BarKind.Memory64, M, 0x5000_0000), Bar(2, BarKind.Memory64Prefetchable, 256 * M, 0x38_0000_0000)))),
        _ => RequestFor(
            PlatformLimits.Q35(512 * M, 32),
            Bridge("rp0", 1, Device("gpu", 0, Bar(0, BarKind.Memory64Prefetchable, 256 * M), Bar(2, BarKind.Memory64, 2 * M))),
            Device("nvme", 2, Bar(0, BarKind.Memory64, 16 * K))),
    };
}
