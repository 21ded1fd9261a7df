namespace Aperture.Devices.Serial;

/// <summary>
/// A 16550A UART at eight ports (National Semiconductor PC16550D data sheet). Transmission takes no time, so the transmitter is
/// always empty and each write of THR raises the THRE interrupt anew; the character timeout elapses at once, so waiting bytes below
/// the trigger level are reported as a timeout. As on a PC the interrupt leaves the chip only while OUT2 is set and loopback is off.
/// Wider accesses act on consecutive ports, lowest first.
/// </summary>
/// <remarks>
/// All state is under one lock. The backend is called outside it: a backend that blocks stops the vCPU that transmits, not the
/// input side or the other vCPUs.
/// </remarks>
[System.Diagnostics.CodeAnalysis.SuppressMessage("Reliability", "CA1001",
    Justification = "The event never makes a wait handle: there is nothing to dispose of.")]
public sealed class Serial16550 : IAccessHandler, IByteRegisters, IResettable, ISerialPort
{
    /// <summary>The first port of COM1, whose interrupt is IRQ 4.</summary>
    public const ushort Com1 = 0x3F8;

    /// <summary>Ports taken.</summary>
    public const ushort Length = 8;

    // 115200 / 12 = 9600 baud, what PC firmware leaves behind; the rate has no effect.
    private const ushort ResetDivisor = 12;

    private readonly Lock _gate = new();
    private readonly ReceiveFifo _fifo = new();
    private readonly IInterruptLine _interrupt;
    private readonly ISerialBackend _backend;

    // Set while Receive takes at least one byte. Changed only under _gate; waited for without it.
    private readonly ManualResetEventSlim _room = new(initialState: true, spinCount: 0);

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
    private bool _asserted;

    /// <summary>Makes the UART in its reset state, connected to a terminal that is always ready.</summary>
    /// <param name="interrupt">The UART's interrupt output, level triggered.</param>
    /// <param name="backend">Where transmitted bytes go.</param>
    public Serial16550(IInterruptLine interrupt, ISerialBackend backend)
    {
        _interrupt = interrupt;
        _backend = backend;
        ResetState();
    }

    /// <inheritdoc/>
    public AccessResult Read(ulong offset, int size, out ulong value) => AccessLanes.ReadBytes(this, Length, offset, size, out value);

    /// <inheritdoc/>
    public AccessResult Write(ulong offset, int size, ulong value) => AccessLanes.WriteBytes(this, Length, offset, size, value);

    /// <summary>Takes what fits of <paramref name="bytes"/> and returns how many that was; none while loopback cuts the line.</summary>
    public int Receive(ReadOnlySpan<byte> bytes)
    {
        lock (_gate)
        {
            int taken = 0;
            while (taken < bytes.Length && HasRoom)
            {
                Accept(bytes[taken++], isBreak: false);
            }

            Update();
            return taken;
        }
    }

    /// <inheritdoc/>
    public bool ReceiveBreak()
    {
        lock (_gate)
        {
            bool taken = HasRoom;
            if (taken)
            {
                Accept(0, isBreak: true);
            }

            Update();
            return taken;
        }
    }

    /// <summary>Waits until <see cref="Receive"/> would take at least one byte.</summary>
    /// <exception cref="OperationCanceledException"><paramref name="cancellation"/> was cancelled.</exception>
    public void WaitForRoom(CancellationToken cancellation) => _room.Wait(cancellation);

    /// <inheritdoc/>
    public void Feed(ReadOnlySpan<byte> bytes, CancellationToken cancellation)
    {
        while (!bytes.IsEmpty)
        {
            WaitForRoom(cancellation);
            bytes = bytes[Receive(bytes)..];
        }
    }

    /// <inheritdoc/>
    public void Reset()
    {
        lock (_gate)
        {
            ResetState();
            Update();
        }
    }

    private bool HasRoom => !_modem.Loop && !_fifo.IsFull;

    byte IByteRegisters.ReadByte(uint offset)
    {
        lock (_gate)
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
        lock (_gate)
        {
            transmit = WriteRegister(offset, value);
            Update();
        }

        if (transmit)
        {
            _backend.Write(value);
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
            _fifo.Clear(control.Enable);
        }
        else if (control.Enable && control.ResetReceiver)
        {
            _fifo.Clear();
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
        if (!_fifo.IsFull)
        {
            Accept(value, isBreak);
            return;
        }

        // A FIFO keeps what it has; the single buffer register is overwritten.
        _errors |= LineStatus.Overrun;
        if (!_fifoControl.Enable)
        {
            _fifo.Clear();
            Accept(value, isBreak);
        }
    }

    private void Accept(byte value, bool isBreak)
    {
        _fifo.Push(value, isBreak);
        RevealTop();
    }

    // A byte's errors show in LSR when it becomes the oldest.
    private void RevealTop()
    {
        if (_fifo.TakeMark())
        {
            _errors |= LineStatus.Break;
        }
    }

    private byte ReadReceived()
    {
        byte value = _fifo.Pop();
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
        status |= _fifo.Count > 0 ? LineStatus.DataReady : 0;
        bool marked = (_errors & LineStatus.Break) != 0 || _fifo.Marks > 0;
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

        if (_enable.ReceivedData && _fifo.Count > 0)
        {
            bool reached = !_fifoControl.Enable || _fifo.Count >= _fifoControl.Trigger;
            return reached ? InterruptId.ReceivedData : InterruptId.CharacterTimeout;
        }

        if (_enable.TransmitterEmpty && _holdingEmptied)
        {
            return InterruptId.TransmitterEmpty;
        }

        return _enable.ModemStatus && _deltas != 0 ? InterruptId.ModemStatus : InterruptId.None;
    }

    private void Update()
    {
        bool asserted = _modem.Out2 && !_modem.Loop && Identify() != InterruptId.None;
        if (asserted != _asserted)
        {
            _asserted = asserted;
            _interrupt.Set(asserted);
        }

        if (HasRoom != _room.IsSet)
        {
            if (HasRoom)
            {
                _room.Set();
            }
            else
            {
                _room.Reset();
            }
        }
    }

    private void ResetState()
    {
        _fifo.Clear(fifoMode: false);
        (_enable, _fifoControl, _line, _modem) = (default, default, default, default);
        (_divisor, _scratch) = (ResetDivisor, 0);
        (_errors, _deltas, _inputs) = (0, 0, ModemStatus.Connected);
        _holdingEmptied = false;
    }
}
