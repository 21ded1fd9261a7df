namespace Aperture.Devices.Pc;

/// <summary>
/// A PS/2 keyboard as its wire shows it (IBM PS/2 keyboard technical reference): commands and their answers, and scan codes of set 1 or 2.
/// Keys wait until the guest lets the keyboard scan. Not thread-safe: the controller locks.
/// </summary>
internal sealed class Ps2Keyboard
{
    /// <summary>Most key events that wait; more are dropped.</summary>
    public const int LongestWait = 4096;

    private const byte Acknowledge = 0xFA;
    private const byte Resend = 0xFE;
    private const byte SelfTestPassed = 0xAA;
    private const byte Echo = 0xEE;
    private const int BufferSize = 16;

    private readonly byte[] _buffer = new byte[BufferSize];
    private readonly Queue<(PcKey Key, bool Down)> _keys = new();
    private int _start;
    private int _count;
    private bool _scanning = true;
    private byte _set = 2;
    private byte _pending;
    private byte _last;

    /// <summary>The lamps: bit 0 scroll lock, 1 number lock, 2 caps lock.</summary>
    public byte Leds { get; private set; }

    /// <summary>Back to power-on without the self test's answer; waiting keys are forgotten.</summary>
    public void Reset()
    {
        Defaults();
        _keys.Clear();
        (_start, _count, _pending, _last, Leds) = (0, 0, 0, 0, 0);
    }

    /// <summary>A key goes down or up. False when too many wait.</summary>
    public bool Key(PcKey key, bool down)
    {
        if (_keys.Count >= LongestWait)
        {
            return false;
        }

        _keys.Enqueue((key, down));
        return true;
    }

    /// <summary>The next byte for the controller, if any.</summary>
    public bool TryTake(out byte value)
    {
        if (_count == 0 && _scanning && _keys.TryDequeue(out (PcKey Key, bool Down) next))
        {
            Encode(next.Key, next.Down);
        }

        value = _count > 0 ? _buffer[_start] : (byte)0;
        if (_count == 0)
        {
            return false;
        }

        _start = (_start + 1) % BufferSize;
        _count--;
        _last = value;
        return true;
    }

    /// <summary>A byte from the host: a command, or what the command before asked for. What had not been sent is dropped.</summary>
    public void Receive(byte value)
    {
        (_start, _count) = (0, 0);
        byte pending = _pending;
        _pending = 0;
        if (pending != 0 && value < 0xED)
        {
            Parameter(pending, value);
            return;
        }

        switch (value)
        {
            case 0xED or 0xF0 or 0xF3:
                _pending = value;
                Send(Acknowledge);
                break;
            case 0xEE:
                Send(Echo);
                break;
            case 0xF2:
                Send(Acknowledge);
                Send(0xAB);
                Send(0x83);
                break;
            case 0xF4:
                _scanning = true;
                Send(Acknowledge);
                break;
            case 0xF5:
                Defaults();
                _scanning = false;
                Send(Acknowledge);
                break;
            case 0xF6:
                Defaults();
                Send(Acknowledge);
                break;
            case >= 0xF7 and <= 0xFA:
                Send(Acknowledge); // key types exist only in set 3
                break;
            case Resend:
                Send(_last);
                break;
            case 0xFF:
                Defaults();
                Leds = 0;
                Send(Acknowledge);
                Send(SelfTestPassed);
                break;
            default:
                Send(Resend);
                break;
        }
    }

    private void Parameter(byte command, byte value)
    {
        switch (command)
        {
            case 0xED:
                Leds = (byte)(value & 7);
                Send(Acknowledge);
                break;
            case 0xF0 when value == 0:
                Send(Acknowledge);
                Send(_set);
                break;
            case 0xF0 when value is 1 or 2:
                _set = value;
                Send(Acknowledge);
                break;
            case 0xF3:
                Send(Acknowledge); // keys do not repeat by themselves here
                break;
            default:
                Send(Resend);
                break;
        }
    }

    private void Defaults()
    {
        _scanning = true;
        _set = 2;
    }

    private void Encode(PcKey key, bool down)
    {
        byte code = (byte)key;
        if ((ushort)key >> 8 == ScanCodes.Extended)
        {
            Send(ScanCodes.Extended);
        }

        if (_set == 1)
        {
            Send((byte)(code | (down ? 0 : 0x80)));
            return;
        }

        if (!down)
        {
            Send(ScanCodes.Release);
        }

        Send(ScanCodes.ToSecond(code));
    }

    // Never more than three bytes wait: what was there before is dropped or taken first.
    private void Send(byte value)
    {
        if (_count < BufferSize)
        {
            _buffer[(_start + _count++) % BufferSize] = value;
        }
    }
}
