using Aperture.Configuration;
using Aperture.Devices.Serial;
using Aperture.Linux;
using Microsoft.Win32.SafeHandles;

namespace Aperture.Machine.Console;

/// <summary>
/// What the first serial port is connected to: the terminal, standard input and output, a file, or nothing. Puts the terminal's mode back on every way out
/// that runs code: disposal, process exit, signals.
/// </summary>
internal sealed class SerialConnection : IDisposable
{
    private readonly StreamSerialBackend? _output;
    private readonly bool _reads;
    private TerminalMode? _terminal;

    private SerialConnection(IEventSink events, Stream? output, bool reads, TerminalMode? terminal)
    {
        _output = output is null ? null : new StreamSerialBackend(
            output,
            stalls: () => events.Notice(
                "serial.stalled", "The reader of the serial port's output takes nothing: what the guest writes is left out until it does."));
        _reads = reads;
        _terminal = terminal;
        if (terminal is not null)
        {
            AppDomain.CurrentDomain.ProcessExit += RestoreTerminal;
            AppDomain.CurrentDomain.UnhandledException += RestoreTerminal;
        }
    }

    /// <summary>Takes the port's output.</summary>
    public ISerialBackend Backend => _output is null ? NullSerialBackend.Instance : _output;

    /// <summary>What writes the port's output, for who must not wait for it.</summary>
    public IReadOnlyList<StreamSerialBackend> Outputs => _output is null ? [] : [_output];

    /// <summary>Opens what <paramref name="config"/> asks for.</summary>
    /// <exception cref="ApertureException">The file cannot be written.</exception>
    /// <exception cref="OperationCanceledException">The wait for a pipe's reader was cancelled.</exception>
    public static SerialConnection Open(MachineConfig config, OutputFiles files, IEventSink events) => config.Serial switch
    {
        SerialKind.Tty => new SerialConnection(events, StandardOutput(), reads: StandardDescriptors.IsInherited(0), RawTerminal()),
        SerialKind.Stdio => new SerialConnection(events, StandardOutput(), reads: StandardDescriptors.IsInherited(0), null),
        SerialKind.File => new SerialConnection(events, OpenFile(config.SerialPath!, files), reads: false, null),
        _ => new SerialConnection(events, null, reads: false, null),
    };

    /// <summary>
    /// Feeds <paramref name="uart"/> from standard input on a thread of its own; <paramref name="quit"/> is called when the user asks to end.
    /// </summary>
    public void StartInput(ISerialPort uart, Action quit)
    {
        if (_reads)
        {
            // A background thread: it may sit in read() for ever, and must not keep the process alive.
            new Thread(() => PumpToEnd(uart, quit)) { IsBackground = true, Name = "serial-input" }.Start();
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        // First the terminal: writing out what is left may take as long as somebody holds the output back.
        RestoreTerminal(this, EventArgs.Empty);
        _output?.Dispose();
    }

    // The console's stream sends a terminal sequences of its own. To a file, though, it appends where others that share the descriptor wrote, which
    // a file stream does not. Where standard output was closed, its number may be something else's by now.
    private static Stream StandardOutput() => !StandardDescriptors.IsInherited(1)
        ? Stream.Null
        : System.Console.IsOutputRedirected
        ? System.Console.OpenStandardOutput()
        : new FileStream(new SafeFileHandle(1, ownsHandle: false), FileAccess.Write, bufferSize: 0);

    private static TerminalMode? RawTerminal()
    {
        SafeFileDescriptor input = new(0, ownsDescriptor: false);
        return Terminal.IsTerminal(input) ? Terminal.EnterRawMode(input) : null;
    }

    private static FileStream OpenFile(string path, OutputFiles files)
    {
        try
        {
            return files.Create(path, FileShare.Read);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ApertureException($"--serial file={path} cannot be written: {e.Message}", innerException: e);
        }
    }

    private void RestoreTerminal(object? sender, EventArgs e)
    {
        Interlocked.Exchange(ref _terminal, null)?.Dispose();
        AppDomain.CurrentDomain.ProcessExit -= RestoreTerminal;
        AppDomain.CurrentDomain.UnhandledException -= RestoreTerminal;
    }

    private void PumpToEnd(ISerialPort uart, Action quit)
    {
        try
        {
            Pump(uart, quit);
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException or UnauthorizedAccessException)
        {
            // The terminal hung up, or the machine is gone while a key was on its way: no more input either way.
        }
    }

    private void Pump(ISerialPort uart, Action quit)
    {
        // Not the console's stream, which on a terminal edits lines and sets the terminal's mode itself.
        using SafeFileHandle handle = new(0, ownsHandle: false);
        using FileStream input = new(handle, FileAccess.Read, bufferSize: 0);
        byte[] buffer = new byte[256];
        using TerminalKeys? keys = _terminal is null ? null : new TerminalKeys(uart);
        int count;
        while ((count = input.Read(buffer)) > 0)
        {
            ReadOnlySpan<byte> bytes = buffer.AsSpan(0, count);
            if (keys is null)
            {
                uart.Feed(bytes, CancellationToken.None);
            }
            else if (!keys.Take(bytes))
            {
                quit();
                return;
            }
        }
    }
}
