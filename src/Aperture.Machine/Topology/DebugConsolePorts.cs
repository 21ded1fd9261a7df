using Aperture.Board.Pc;
using Aperture.Configuration;
using Aperture.Configuration.Kinds;
using Aperture.Devices.Pc;

namespace Aperture.Machine.Topology;

/// <summary>The ports and files of <c>--device debugcon</c>.</summary>
internal static class DebugConsolePorts
{
    /// <summary>Checks the ports without opening a file.</summary>
    /// <exception cref="ApertureException">A port that belongs to something else.</exception>
    public static IReadOnlyList<(ushort Port, string Path)> Read(MachineConfig config)
    {
        List<(ushort Port, string Path)> consoles = [];
        foreach (DebugConsoleSpec device in config.Devices.OfType<DebugConsoleSpec>())
        {
            ushort port = device.Port;
            string option = $"--device debugcon,port=0x{port:x}";
            FixedPorts.Check(option, port, DebugConsole.Length, "0x402 is where firmware looks");
            if (consoles.Exists(c => c.Port == port) || DebugExitPorts.Read(config).Any(p => port >= p && port < p + DebugExit.Length))
            {
                throw new ApertureException($"{option}: another debug device is already there.");
            }

            consoles.Add((port, device.File));
        }

        return consoles;
    }
}
