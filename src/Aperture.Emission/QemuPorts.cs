using System.Globalization;
using Aperture.Placement.Map;
using Aperture.Placement.Platforms;

namespace Aperture.Emission;

/// <summary>A planned bridge as one of QEMU's PCI Express ports.</summary>
internal static class QemuPorts
{
    /// <summary>The driver's name.</summary>
    public static string Driver(FunctionRole role) => role switch
    {
        FunctionRole.RootPort => "pcie-root-port",
        FunctionRole.SwitchUpstream => "x3130-upstream",
        _ => "xio3130-downstream",
    };

    /// <summary>
    /// Chassis, slot and link port numbers. Chassis and slot together must be unique among all slots, and a chassis is a byte other than 0
    /// (PCI-to-PCI Bridge 1.2, 13.2: Chassis Number).
    /// </summary>
    public static string Numbers(PlannedFunction port, int serial) => string.Create(
        CultureInfo.InvariantCulture, $"port={port.Address.DeviceFunction},chassis={(serial % 255) + 1},slot={serial / 255}");

    /// <summary>
    /// The least sizes of a root port's windows and the bus numbers behind it, for firmware that reads the port's reservation capability. A
    /// port tells one prefetchable size only, 32-bit or 64-bit.
    /// </summary>
    public static IEnumerable<(string Name, ulong Value)> Reserves(BridgePlacement bridge)
    {
        int content = bridge.Functions.Select(f => (int)(f.Bridge?.Subordinate ?? bridge.Secondary)).Append(bridge.Secondary).Max();
        if (bridge.Subordinate > content)
        {
            yield return ("bus-reserve", (ulong)(bridge.Subordinate - bridge.Secondary));
        }

        if (bridge.Io is { } io)
        {
            yield return ("io-reserve", io.Size);
        }

        if (bridge.Memory is { } memory)
        {
            yield return ("mem-reserve", memory.Size);
        }

        if (bridge.Prefetchable is { } prefetchable)
        {
            yield return (prefetchable.Start.Value < PlatformLimits.FourGiB ? "pref32-reserve" : "pref64-reserve", prefetchable.Size);
        }
    }

    /// <summary>True when a reserve is a size in bytes, not a count.</summary>
    public static bool IsSize(string reserve) => reserve != "bus-reserve";
}
