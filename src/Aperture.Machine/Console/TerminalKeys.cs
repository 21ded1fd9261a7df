using System.Collections.Concurrent;
using Aperture.Devices.Serial;

namespace Aperture.Machine.Console;

/// <summary>
/// What is typed at a terminal, on its way to a UART. Ctrl-A, then x, ends the run, as QEMU's users know it; Ctrl-A twice sends one. That is seen also while
/// the guest reads nothing: what it does not take yet waits, up to <see cref="Capacity"/> keys, and more are lost.
/// </summary>
internal sealed class TerminalKeys : IDisposable
{
    /// <summary>Keys that may wait for the guest.</summary>
    public const int Capacity = 4096;

    private const byte Escape = 0x01;
    private readonly BlockingCollection<byte> _waiting = new(Capacity);
    private readonly CancellationTokenSource _ended = new();
    private readonly Thread _feeder;
    private bool _escaped;

    /// <summary>Starts feeding <paramref name="uart"/>.</summary>
    public TerminalKeys(ISerialPort uart)
    {
        _feeder = new Thread(() => Feed(uart)) { IsBackground = true, Name = "serial-keys" };
        _feeder.Start();
    }

    /// <summary>Takes what was typed; does not wait. False when the user asked for the end.</summary>
    public bool Take(ReadOnlySpan<byte> typed)
    {
        foreach (byte key in typed)
        {
            if (!_escaped && key == Escape)
            {
                _escaped = true;
            }
            else if (_escaped && (key | 0x20) == 'x')
            {
                return false;
            }
            else
            {
                _escaped = false;
                _ = _waiting.TryAdd(key);
            }
        }

        return true;
    }

    /// <summary>Ends the feeding; keys that wait are lost.</summary>
    public void Dispose()
    {
        _ended.Cancel();
        _feeder.Join();
        _ended.Dispose();
        _waiting.Dispose();
    }

    private void Feed(ISerialPort uart)
    {
        try
        {
            while (true)
            {
                uart.Feed([_waiting.Take(_ended.Token)], _ended.Token);
            }
        }
        catch (Exception e) when (e is OperationCanceledException or ObjectDisposedException)
        {
            // The end was asked for, or the machine is gone while a key was on its way.
        }
    }
}
