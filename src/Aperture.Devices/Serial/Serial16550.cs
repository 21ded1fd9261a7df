namespace Aperture.Devices.Serial;

/// <summary>
/// A 16550A UART at eight ports (National Semiconductor PC16550D data sheet). Transmission takes no time, so the transmitter is
/// always empty and each write of THR raises the THRE interrupt anew; the character timeout elapses at once, so waiting bytes below
/// the trigger level are reported as a timeout. As on a PC the interrupt leaves the chip only while OUT2 is set and loopback is off.
/// Wider accesses act on consecutive ports, lowest first.
/// </summary>
public sealed class Serial16550 : Uart, IAccessHandler, IByteRegisters
{
    /// <summary>The first port of COM1, whose interrupt is IRQ 4.</summary>
    public const ushort Com1 = 0x3F8;

    /// <summary>Ports taken.</summary>
    public const ushort Length = 8;

    // 115200 / 12 = 9600 baud, what PC firmware leaves behind; the rate has no effect.
    private const ushort ResetDivisor = 12;

    private InterruptEnable _enable;
    private FifoControl _fifoControl;
    private LineControl _line;
    private ModemControl _modem;
    private ushort _divisor;
    private byte _scratch;
    private byte _errors;
    private byte _inputs;
    private byte _deltas;
    private bool _holdingEmptied;

    /// <summary>Makes the UART in its reset state, connected to a terminal that is always ready.</summary>
    /// <param name="interrupt">The UART's interrupt output, level triggered.</param>
    /// <param name="backend">Where transmitted bytes go.</param>
    public Serial16550(IInterruptLine interrupt, ISerialBackend backend)
        : base(interrupt, backend, hasRoom: true) => ResetState();

    /// <inheritdoc/>
    public AccessResult Read(ulong offset, int size, out ulong value) => AccessLanes.ReadBytes(this, Length, offset, size, out value);

    /// <inheritdoc/>
    public AccessResult Write(ulong offset, int size, ulong value) => AccessLanes.WriteBytes(this, Length, offset, size, value);

    private protected override bool HasRoom => !_modem.Loop && !Fifo.IsFull;

    private protected override bool Interrupts => _modem.Out2 && !_modem.Loop && Identify() != InterruptId.None;

    byte IByteRegisters.ReadByte(uint offset)
    {
        lock (Gate)
        {
            byte value = offset switch
            {
                0 => _line.DivisorLatch ? (byte)_divisor : ReadReceived(),
                1 => _line.DivisorLatch ? (byte)(_divisor >> 8) : _enable.Value,
                2 => ReadInterruptId(),
                3 => _line.Value,
                4 => _modem.Value,
                5 => ReadLineStatus(),
                6 => ReadModemStatus(),
                _ => _scratch,
            };
            Update();
            return value;
        }
    }

    void IByteRegisters.WriteByte(uint offset, byte value)
    {
        bool transmit;
        lock (Gate)
        {
            transmit = WriteRegister(offset, value);
            Update();
        }

        if (transmit)
        {
            Send(value);
        }
    }

    // True when the byte goes out on the line.
    private bool WriteRegister(uint offset, byte value)
    {
        switch (offset)
        {
            case 0 when _line.DivisorLatch:
                _divisor = (ushort)(_divisor & 0xFF00 | value);
                break;
            case 0:
                return WriteHolding(value);
            case 1 when _line.DivisorLatch:
                _divisor = (ushort)(_divisor & 0x00FF | value << 8);
                break;
            case 1:
                WriteEnable(new InterruptEnable((byte)(value & InterruptEnable.Implemented)));
                break;
            case 2:
                WriteFifoControl(new FifoControl(value));
                break;
            case 3:
                WriteLineControl(new LineControl(value));
                break;
            case 4:
                _modem = new ModemControl((byte)(value & ModemControl.Implemented));
                SetInputs(_modem.Loop ? _modem.LoopedInputs : ModemStatus.Connected);
                break;
            case 7:
                _scratch = value;
                break;
            default:
                // LSR is for factory tests and MSR is read-only in practice: no driver writes them.
                break;
        }

        return false;
    }

    private bool WriteHolding(byte value)
    {
        _holdingEmptied = true;
        if (!_modem.Loop)
        {
            return true;
        }

        Loop(value, isBreak: false);
        return false;
    }

    private void WriteEnable(InterruptEnable enable)
    {
        // Enabling THRE while the holding register is empty, as it always is here, raises it.
        if (enable.TransmitterEmpty && !_enable.TransmitterEmpty)
        {
            _holdingEmptied = true;
        }

        _enable = enable;
    }

    private void WriteFifoControl(FifoControl control)
    {
        if (control.Enable != _fifoControl.Enable)
        {
            Fifo.Clear(control.Enable);
        }
        else if (control.Enable && control.ResetReceiver)
        {
            Fifo.Clear();
        }

        // The other bits are not programmed unless bit 0 is set in the same write.
        _fifoControl = control.Enable ? control : default;
    }

    private void WriteLineControl(LineControl line)
    {
        if (_modem.Loop && line.SetBreak && !_line.SetBreak)
        {
            Loop(0, isBreak: true);
        }

        _line = line;
    }

    private void Loop(byte value, bool isBreak)
    {
        if (!Fifo.IsFull)
        {
            Accept(value, isBreak);
            return;
        }

        // A FIFO keeps what it has; the single buffer register is overwritten.
        _errors |= LineStatus.Overrun;
        if (!_fifoControl.Enable)
        {
            Fifo.Clear();
            Accept(value, isBreak);
        }
    }

    private protected override void Accept(byte value, bool isBreak)
    {
        Fifo.Push(value, isBreak);
        RevealTop();
    }

    // A byte's errors show in LSR when it becomes the oldest.
    private void RevealTop()
    {
        if (Fifo.TakeMark())
        {
            _errors |= LineStatus.Break;
        }
    }

    private byte ReadReceived()
    {
        byte value = Fifo.Pop();
        RevealTop();
        return value;
    }

    private byte ReadInterruptId()
    {
        byte id = Identify();
        if (id == InterruptId.TransmitterEmpty)
        {
            _holdingEmptied = false;
        }

        return (byte)(id | (_fifoControl.Enable ? InterruptId.FifoEnabled : 0));
    }

    private byte ReadLineStatus()
    {
        int status = LineStatus.HoldingEmpty | LineStatus.TransmitterIdle | _errors;
        status |= Fifo.Count > 0 ? LineStatus.DataReady : 0;
        bool marked = (_errors & LineStatus.Break) != 0 || Fifo.Marks > 0;
        status |= _fifoControl.Enable && marked ? LineStatus.ErrorInFifo : 0;
        _errors = 0;
        return (byte)status;
    }

    private byte ReadModemStatus()
    {
        byte status = (byte)(_inputs | _deltas);
        _deltas = 0;
        return status;
    }

    private void SetInputs(byte inputs)
    {
        _deltas |= ModemStatus.DeltaOf(_inputs, inputs);
        _inputs = inputs;
    }

    // Data sheet, table of interrupt control functions: the highest pending source that is enabled.
    private byte Identify()
    {
        if (_enable.LineStatus && _errors != 0)
        {
            return InterruptId.LineStatus;
        }

        if (_enable.ReceivedData && Fifo.Count > 0)
        {
            bool reached = !_fifoControl.Enable || Fifo.Count >= _fifoControl.Trigger;
            return reached ? InterruptId.ReceivedData : InterruptId.CharacterTimeout;
        }

        if (_enable.TransmitterEmpty && _holdingEmptied)
        {
            return InterruptId.TransmitterEmpty;
        }

        return _enable.ModemStatus && _deltas != 0 ? InterruptId.ModemStatus : InterruptId.None;
    }

    private protected override void ResetState()
    {
        Fifo.Clear(fifoMode: false);
        (_enable, _fifoControl, _line, _modem) = (default, default, default, default);
        (_divisor, _scratch) = (ResetDivisor, 0);
        (_errors, _deltas, _inputs) = (0, 0, ModemStatus.Connected);
        _holdingEmptied = false;
    }
}
