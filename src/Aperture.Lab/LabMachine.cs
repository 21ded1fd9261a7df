using System.ComponentModel;
using System.Diagnostics;
using System.Net.Sockets;
using System.Text;

namespace Aperture.Lab;

/// <summary>One start of the software-emulated machine: the QEMU process and the sockets of its ports.</summary>
internal sealed class LabMachine : IAsyncDisposable
{
    private const int ErrorLimit = 8192;

    // What QEMU's assertion says (EmulatorProbe).
    private const string UnlockedInterrupt = "assertion failed: (bql_locked())";

    private readonly LabFolder _folder;
    private readonly Process _process;
    private readonly Dictionary<string, Socket> _ports = [];
    private readonly StringBuilder _errors = new();
    private readonly Stopwatch _clock = Stopwatch.StartNew();
    private StreamReader? _control;

    private LabMachine(LabFolder folder, Process process)
    {
        _folder = folder;
        _process = process;
    }

    /// <summary>Time since the start.</summary>
    public TimeSpan Elapsed => _clock.Elapsed;

    /// <summary>The socket of a port.</summary>
    public Socket Port(string name) => _ports[name];

    /// <summary>Starts QEMU and waits for its connections.</summary>
    public static async Task<LabMachine> StartAsync(
        string program, LabArtifacts artifacts, LabRun run, LabFolder folder, StartLimits limits, CancellationToken cancellation)
    {
        folder.Write(run);
        Dictionary<string, Socket> listeners = QemuCommandLine.Ports.ToDictionary(port => port, folder.Listen);
        LabMachine? machine = null;
        try
        {
            machine = new LabMachine(folder, Launch(program, run.Platform, QemuCommandLine.Build(artifacts, run, folder)));
            machine.CollectErrors();
            foreach ((string port, Socket listener) in listeners)
            {
                machine._ports[port] = await machine.UnlessEndedAsync(listener.AcceptAsync(cancellation).AsTask(), limits, cancellation);
            }

            machine._control = new StreamReader(new NetworkStream(machine._ports["control"]), Encoding.UTF8);
            return machine;
        }
        catch
        {
            if (machine is not null)
            {
                await machine.DisposeAsync();
            }

            throw;
        }
        finally
        {
            foreach (Socket listener in listeners.Values)
            {
                listener.Dispose();
            }
        }
    }

    /// <summary>Returns when L1 starts the command.</summary>
    /// <exception cref="LabHangException">The watch calls it hung.</exception>
    /// <exception cref="ApertureException">L1's init gave up, or QEMU ended.</exception>
    public async Task WaitUntilUpAsync(StartLimits limits, CancellationToken cancellation)
    {
        StartWatch watch = new(limits);
        Task<ControlLine> line = ReadControlAsync(cancellation);
        while (await Task.WhenAny(line, Task.Delay(250, cancellation)) != line)
        {
            cancellation.ThrowIfCancellationRequested();
            _process.Refresh();
            if (!_process.HasExited && watch.Check(Elapsed, _process.TotalProcessorTime) is { } reason)
            {
                throw new LabHangException($"The software-emulated machine did not start: {reason}.");
            }
        }
        if (await line is { Kind: not ControlKind.Up } other)
        {
            throw new ApertureException($"The software-emulated machine's init said: {other.Text}.", ApertureException.HostFailure);
        }
    }

    /// <summary>Returns the command's exit code once L1 reports it.</summary>
    /// <exception cref="LabHangException">The machine ended without a report.</exception>
    public async Task<int> WaitForExitAsync(CancellationToken cancellation)
    {
        while (true)
        {
            ControlLine line = await ReadControlAsync(cancellation);
            if (line.Kind == ControlKind.Exit)
            {
                return line.Value;
            }
        }
    }

    /// <summary>Ends QEMU if it still runs, so that the ports reach their end of file.</summary>
    public async Task KillAsync()
    {
        try
        {
            _process.Kill();
        }
        catch (InvalidOperationException)
        {
            // It ended by itself in the meantime.
        }
        await _process.WaitForExitAsync(CancellationToken.None);
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await KillAsync();
        _control?.Dispose();
        foreach (Socket port in _ports.Values)
        {
            port.Dispose();
        }

        _process.Dispose();
    }

    private static Process Launch(string program, LabPlatform platform, List<string> arguments)
    {
        ProcessStartInfo start = new(program, arguments)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        try
        {
            Process process = Process.Start(start)!;
            process.StandardInput.Close();
            return process;
        }
        catch (Win32Exception exception)
        {
            throw new ApertureException(
                $"{program} cannot be started ({exception.Message}): install it with `apt-get install {platform.EmulatorPackage}`.",
                ApertureException.HostFailure, exception);
        }
    }

    private void CollectErrors()
    {
        void Add(object sender, DataReceivedEventArgs received)
        {
            lock (_errors)
            {
                if (received.Data is { Length: > 0 } text && _errors.Length < ErrorLimit)
                {
                    _errors.AppendLine(text);
                }
            }
        }
        _process.OutputDataReceived += Add;
        _process.ErrorDataReceived += Add;
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
    }

    private async Task<ControlLine> ReadControlAsync(CancellationToken cancellation)
    {
        string? line;
        try
        {
            line = await _control!.ReadLineAsync(cancellation);
        }
        catch (IOException)
        {
            line = null;
        }
        return line is not null ? ControlLine.Parse(line) : throw await EndedAsync();
    }

    private async Task<T> UnlessEndedAsync<T>(Task<T> task, StartLimits limits, CancellationToken cancellation)
    {
        Task ended = _process.WaitForExitAsync(cancellation);
        Task first = await Task.WhenAny(task, ended, Task.Delay(limits.Wall, cancellation));
        if (task.IsCompleted)
        {
            return await task;
        }

        cancellation.ThrowIfCancellationRequested();
        throw first == ended ? await EndedAsync() : new LabHangException($"QEMU did not get ready within {limits.Wall.TotalSeconds:F0} s.");
    }

    private async Task<ApertureException> EndedAsync()
    {
        await KillAsync();
        string errors;
        lock (_errors)
        {
            errors = _errors.ToString().Trim();
        }

        string console = _folder.ConsoleTail(5);
        if (errors.Length > 0)
        {
            string remedy = errors.Contains(UnlockedInterrupt, StringComparison.Ordinal)
                ? ": a guest wrote CR8 while an interrupt waited, as 64-bit OVMF does; `./aperture lab prepare qemu` builds a QEMU that bears it." : "";
            return new ApertureException($"QEMU ended: {errors}{remedy}", ApertureException.HostFailure);
        }

        return new LabHangException(
            "The software-emulated machine ended before the command did." + (console.Length > 0 ? " Its console: " + console : ""));
    }
}
