using Aperture.Configuration;
using Aperture.Configuration.Kinds;
using Aperture.Devices.Pc;
using Aperture.Devices.Serial;

namespace Aperture.Machine.Board;

/// <summary>The consoles of <c>--device debugcon</c>, each with its file.</summary>
internal sealed class DebugConsoles : IDisposable
{
    private readonly List<DebugConsolePort> _ports = [];
    private readonly List<StreamSerialBackend> _files = [];

    private DebugConsoles()
    {
    }

    /// <summary>The consoles at their ports.</summary>
    public IReadOnlyList<DebugConsolePort> Ports => _ports;

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

    /// <summary>Opens the files, which start empty.</summary>
    /// <exception cref="ApertureException">A file cannot be written.</exception>
    public static DebugConsoles Open(IReadOnlyList<(ushort Port, string Path)> consoles)
    {
        DebugConsoles opened = new();
        try
        {
            foreach ((ushort port, string path) in consoles)
            {
                StreamSerialBackend file = new(new FileStream(path, FileMode.Create, FileAccess.Write, FileShare.ReadWrite, bufferSize: 0));
                opened._files.Add(file);
                opened._ports.Add(new DebugConsolePort(port, file));
            }

            return opened;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            opened.Dispose();
            throw new ApertureException($"--device debugcon,file={consoles[opened._files.Count].Path} cannot be written: {e.Message}", innerException: e);
        }
    }

    /// <summary>Writes out what is left.</summary>
    public void Dispose()
    {
        foreach (StreamSerialBackend file in _files)
        {
            file.Dispose();
        }
    }
}
