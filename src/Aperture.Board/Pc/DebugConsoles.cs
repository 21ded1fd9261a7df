using Aperture.Devices.Serial;
using Aperture.Linux;

namespace Aperture.Board.Pc;

/// <summary>The debug consoles of a machine, each with its file.</summary>
public sealed class DebugConsoles : IDisposable
{
    private readonly List<DebugConsolePort> _ports = [];
    private readonly List<StreamSerialBackend> _files = [];

    private DebugConsoles()
    {
    }

    /// <summary>The consoles at their ports.</summary>
    public IReadOnlyList<DebugConsolePort> Ports => _ports;

    /// <summary>What writes the files, for who must not wait for them.</summary>
    public IReadOnlyList<StreamSerialBackend> Outputs => _files;

    /// <summary>
    /// Opens the files, which start empty. <paramref name="stalls"/> gets one sentence when one takes nothing and bytes are lost; any thread.
    /// </summary>
    /// <exception cref="ApertureException">A file cannot be written.</exception>
    /// <exception cref="OperationCanceledException">The wait for a pipe's reader was cancelled.</exception>
    public static DebugConsoles Open(IReadOnlyList<(ushort Port, string Path)> consoles, OutputFiles files, Action<string>? stalls = null)
    {
        ArgumentNullException.ThrowIfNull(consoles);
        ArgumentNullException.ThrowIfNull(files);
        DebugConsoles opened = new();
        try
        {
            foreach ((ushort port, string path) in consoles)
            {
                StreamSerialBackend file = new(
                    files.Create(path, FileShare.ReadWrite),
                    stalls: () => stalls?.Invoke($"{path} takes nothing: what the guest writes to its debug console is left out until it does."));
                opened._files.Add(file);
                opened._ports.Add(new DebugConsolePort(port, file));
            }

            return opened;
        }
        catch (OperationCanceledException)
        {
            opened.Dispose();
            throw;
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

/// <summary>A debug console at its port.</summary>
/// <param name="Port">The port.</param>
/// <param name="Backend">Where what the guest writes goes.</param>
public sealed record DebugConsolePort(ushort Port, ISerialBackend Backend);
