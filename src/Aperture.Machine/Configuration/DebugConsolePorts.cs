using Aperture.Board.Pc;
using Aperture.Devices.Pc;

namespace Aperture.Machine.Configuration;

/// <summary>Reads the ports and files of <c>--device debugcon</c>.</summary>
internal static class DebugConsolePorts
{
    /// <summary>Checks the options without opening a file.</summary>
    /// <exception cref="ApertureException">A port that is no number or belongs to something else, or no file.</exception>
    public static IReadOnlyList<(ushort Port, string Path)> Read(MachineConfig config)
    {
        List<(ushort Port, string Path)> consoles = [];
        foreach (DeviceConfig device in config.Devices.Where(d => d.Type == "debugcon"))
        {
            device.Options.AllowOnly("file", "port");
            string path = device.Options.Require("file");
            string text = device.Options.Find("port") ?? $"0x{DebugConsole.DefaultPort:x}";
            string option = $"--device debugcon,port={text}";
            if (!ByteSize.TryParseNumber(text, out ulong port) || port > 0xFFFF)
            {
                throw new ApertureException($"{option}: a port is a number from 0 to 0xffff; 0x402 is where firmware looks.");
            }

            FixedPorts.Check(option, (int)port, DebugConsole.Length, "0x402 is where firmware looks");
            if (consoles.Exists(c => c.Port == port) || DebugExitPorts.Read(config).Any(p => port >= p && port < p + (ulong)DebugExit.Length))
            {
                throw new ApertureException($"{option}: another debug device is already there.");
            }

            consoles.Add(((ushort)port, path));
        }

        return consoles;
    }
}
