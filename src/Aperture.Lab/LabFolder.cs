using System.Net.Sockets;
using Aperture.Linux;

namespace Aperture.Lab;

/// <summary>
/// The private folder of one start of the machine: the command, the sockets of its ports, its console's log. Removed on disposal, or by a later run where
/// this one is killed.
/// </summary>
internal sealed class LabFolder : IDisposable
{
    private readonly ScratchFolder _folder;

    /// <summary>Makes a folder that only this user can enter, short enough for socket paths (sun_path, 108 bytes).</summary>
    public LabFolder() => _folder = new ScratchFolder("aperture-lab-");

    /// <summary>The folder's absolute path.</summary>
    public string Root => _folder.Path;

    /// <summary>What L1 printed on its first serial port.</summary>
    public string ConsoleLog => Path.Combine(Root, "console");

    /// <summary>The socket behind a virtio port.</summary>
    public string Socket(string port) => Path.Combine(Root, port);

    /// <summary>Writes what L1's init reads, and the drives' images.</summary>
    public void Write(LabRun run)
    {
        File.WriteAllText(Path.Combine(Root, "command"), CommandScript.Build(run));
        File.WriteAllText(Path.Combine(Root, "exports"), CommandScript.BuildExports(run));
        run.Hardware?.MakeFiles(Root);
    }

    /// <summary>A socket that waits for QEMU's connection to that port.</summary>
    public Socket Listen(string port)
    {
        Socket listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(Socket(port)));
        listener.Listen(1);
        return listener;
    }

    /// <summary>What the console says about an end of L1: its panic, else its last lines.</summary>
    public string ConsoleTail(int lines)
    {
        try
        {
            string[] printed = [.. File.ReadAllLines(ConsoleLog).Where(line => line.Length > 0)];
            return Array.Find(printed, line => line.Contains("Kernel panic", StringComparison.Ordinal)) ?? string.Join('\n', printed.TakeLast(lines));
        }
        catch (IOException)
        {
            return "";
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _folder.Dispose();
}
