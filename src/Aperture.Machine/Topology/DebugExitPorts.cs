using Aperture.Board.Pc;
using Aperture.Configuration;
using Aperture.Configuration.Kinds;
using Aperture.Devices.Pc;

namespace Aperture.Machine.Topology;

/// <summary>The ports of <c>--device debug-exit</c>.</summary>
internal static class DebugExitPorts
{
    /// <summary>One port a device.</summary>
    /// <exception cref="ApertureException">A port that belongs to something else.</exception>
    public static IReadOnlyList<ushort> Read(MachineConfig config)
    {
        List<ushort> ports = [];
        foreach (ushort port in config.Devices.OfType<DebugExitSpec>().Select(d => d.Port))
        {
            string option = $"--device debug-exit,port=0x{port:x}";
            if (ports.Exists(p => Math.Abs(p - port) < DebugExit.Length))
            {
                throw new ApertureException($"{option}: another debug-exit is already there.");
            }

            FixedPorts.Check(option, port, DebugExit.Length, "0xf4 is customary");
            ports.Add(port);
        }

        return ports;
    }
}
