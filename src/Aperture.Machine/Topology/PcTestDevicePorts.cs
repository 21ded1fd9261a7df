using Aperture.Configuration;
using Aperture.Configuration.Kinds;
using Aperture.Devices.Pc;
using Aperture.Placement.Platforms;

namespace Aperture.Machine.Topology;

/// <summary>The ports of <c>--device pc-testdev</c>.</summary>
internal static class PcTestDevicePorts
{
    private static readonly (int First, int Length)[] Ports =
        [(PcTestDevice.RegisterPort, PcTestDevice.RegisterPorts), (PcTestDevice.LinePort, PcTestDevice.Lines)];

    /// <summary>Those that no BAR or window may take.</summary>
    public static IEnumerable<ReservedRange> Reserved(MachineConfig config) => config.Devices.OfType<PcTestDeviceSpec>().Any()
        ? Ports.Select(p => new ReservedRange(new AddressRange(new GuestAddress((ulong)p.First), (ulong)p.Length), $"pc-testdev at 0x{p.First:x}"))
        : [];

    /// <summary>Whether there is one.</summary>
    /// <exception cref="ApertureException">There are two, or another device has one of its ports.</exception>
    public static bool Read(MachineConfig config)
    {
        int count = config.Devices.OfType<PcTestDeviceSpec>().Count();
        if (count > 1)
        {
            throw new ApertureException("--device pc-testdev is given twice; its ports are fixed, so give it once.");
        }

        if (count != 0)
        {
            foreach (ushort port in DebugExitPorts.Read(config))
            {
                Check($"--device debug-exit,port=0x{port:x}", port, DebugExit.Length);
            }

            foreach ((ushort port, _) in DebugConsolePorts.Read(config))
            {
                Check($"--device debugcon,port=0x{port:x}", port, DebugConsole.Length);
            }
        }

        return count != 0;
    }

    private static void Check(string option, int port, int length)
    {
        foreach ((int first, int count) in Ports)
        {
            if (port < first + count && first < port + length)
            {
                throw new ApertureException(
                    $"{option} would take ports of which --device pc-testdev has 0x{first:x} to 0x{first + count - 1:x}; give it others.");
            }
        }
    }
}
