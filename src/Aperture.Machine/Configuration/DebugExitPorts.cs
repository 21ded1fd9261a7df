using Aperture.Board.Pc;
using Aperture.Devices.Pc;

namespace Aperture.Machine.Configuration;

/// <summary>Reads the ports of <c>--device debug-exit</c>.</summary>
internal static class DebugExitPorts
{
    /// <summary>One port a device.</summary>
    /// <exception cref="ApertureException">A port that is no number or belongs to something else.</exception>
    public static IReadOnlyList<ushort> Read(MachineConfig config)
    {
        List<ushort> ports = [];
        foreach (DeviceConfig device in config.Devices.Where(d => d.Type == "debug-exit"))
        {
            device.Options.AllowOnly("port");
            string text = device.Options.Find("port") ?? "0xf4";
            if (!ByteSize.TryParseNumber(text, out ulong port) || port > 0xFFFF - DebugExit.Length)
            {
                throw new ApertureException($"--device debug-exit,port={text}: a port is a number from 0 to 0xfffb; 0xf4 is customary.");
            }

            if (ports.Exists(p => Math.Abs(p - (int)port) < DebugExit.Length))
            {
                throw new ApertureException($"--device debug-exit,port={text}: another debug-exit is already there.");
            }

            FixedPorts.Check($"--device debug-exit,port={text}", (int)port, DebugExit.Length, "0xf4 is customary");
            ports.Add((ushort)port);
        }

        return ports;
    }
}
