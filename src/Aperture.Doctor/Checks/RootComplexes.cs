using Aperture.Host.Analysis;
using Aperture.Host.Model;

namespace Aperture.Doctor.Checks;

/// <summary>
/// Which root complexes are known to carry requests from one port to another: the table of Linux' own users of peer-to-peer DMA
/// (drivers/pci/p2pdma.c, pci_p2pdma_whitelist and cpu_supports_p2pdma), which maintainers fill with what was tried.
/// </summary>
internal static class RootComplexes
{
    private const ushort Intel = 0x8086;
    private const int Zen = 0x17;

    // The function at 00.0 of the root bus, or the first root port there; whether requests go on to another host bridge too.
    private static readonly Dictionary<ushort, bool> Carrying = new()
    {
        [0x3C00] = false, // Sandy Bridge-E
        [0x3C01] = false,
        [0x2F00] = false, // Haswell-E
        [0x2F01] = false,
        [0x2030] = true, // Skylake-E
        [0x2031] = true,
        [0x2032] = true,
        [0x2033] = true,
        [0x2020] = true,
        [0x09A2] = true, // Ice Lake-E and later
    };

    /// <summary>What the table says of requests between two functions: the evidence; null when it does not know these root complexes.</summary>
    internal static string? Carry(HostMachine host, HostFunction from, HostFunction to, bool oneBridge)
    {
        if (host.System.Processor is { Vendor: "AuthenticAMD", Family: >= Zen } processor)
        {
            return $"/proc/cpuinfo: AMD family 0x{processor.Family:x} (Zen or later), which the kernel's table of peer-to-peer root complexes takes as "
                + "a whole";
        }

        HostFunction? left = Top(host, from);
        HostFunction? right = Top(host, to);
        return left is not null && right is not null && Knows(left, oneBridge) && Knows(right, oneBridge)
            ? string.Join(" and ", new[] { left, right }.DistinctBy(static port => port.Address).Select(Describe))
                + ", in the kernel's table of root complexes that carry peer-to-peer requests"
            : null;
    }

    private static string Describe(HostFunction port) => $"{port.Address} is 8086:{port.Identity.Device:x4}";

    private static bool Knows(HostFunction top, bool oneBridge) =>
        top.Identity.Vendor == Intel && Carrying.TryGetValue(top.Identity.Device, out bool across) && (across || oneBridge);

    private static HostFunction? Top(HostMachine host, HostFunction function) =>
        HostTopology.HostBridgeOf(host, function) is { RootFunctions: { IsEmpty: false } functions } && host.Find(functions[0]) is { } first
            && (first.Address.Bdf is { Device: 0, Function: 0 } || first.Pcie?.Type == HostPortType.RootPort || first.Bridge is not null) ? first : null;
}
