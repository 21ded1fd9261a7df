using Aperture.Host.Model;
using Aperture.Pci;

namespace Aperture.Doctor;

/// <summary>What kind of thing a function is, by its class code (PCI Code and ID Assignment 1.11) and its BARs.</summary>
internal static class DeviceClasses
{
    private const ulong SmallestAperture = 16 << 20;

    /// <summary>A GPU or another accelerator: a display, 3D, co-processor or processing accelerator class, with memory behind a BAR.</summary>
    internal static bool IsAccelerator(HostFunction function) =>
        function.Identity.ClassCode >> 8 is 0x0300 or 0x0302 or 0x0380 or 0x0B40 or 0x1200
        && function.Bars.Any(static bar => bar.Kind.Is64Bit() && (bar.Size == 0 || bar.Size >= SmallestAperture));

    /// <summary>A network or InfiniBand controller.</summary>
    internal static bool IsNetwork(HostFunction function) => function.Identity.ClassCode >> 16 == 0x02 || function.Identity.ClassCode >> 8 is 0x0C06;

    /// <summary>An NVMe drive.</summary>
    internal static bool IsDrive(HostFunction function) => function.Identity.ClassCode >> 8 == 0x0108;

    /// <summary>True when VFs can be made of it.</summary>
    internal static bool MakesVfs(HostFunction function) => function is { IsVirtualFunction: false, Sriov.TotalVfs: > 0 };

    /// <summary>True for what a guest can be given: no bridge of any kind.</summary>
    internal static bool IsEndpoint(HostFunction function) => function.Bridge is null && function.Identity.ClassCode >> 16 != 0x06;
}
