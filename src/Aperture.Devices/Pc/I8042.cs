namespace Aperture.Devices.Pc;

/// <summary>
/// A keyboard controller (8042, ports 0x60 and 0x64) with a keyboard and no mouse: self-tests, command byte, translation to scan code set 1, reset and A20
/// through its output port. The mouse interface fails its own test, and a byte for it is answered as the controller answers when no clock comes from the
/// other end. The host types with <see cref="Press"/> and <see cref="TypeKeys"/>.
/// </summary>
public sealed class I8042 : IResettable
{
    /// <summary>The data port.</summary>
    public const ushort DataPort = 0x60;

    /// <summary>The command (write) and status (read) port.</summary>
    public const ushort CommandPort = 0x64;

    /// <summary>Ports taken at each of the two.</summary>
    public const ushort Length = 1;

    private readonly Lock _gate = new();
    private readonly IMachineControl _control;
    private readonly IInterruptLine? _interrupt;
    private readonly Ps2Keyboard _keyboard = new();

    private State _state = State.PowerOn;

    /// <summary>Makes the controller in its reset state.</summary>
    /// <param name="control">What a reset is asked of.</param>
    /// <param name="keyboardInterrupt">IRQ 1; null for a guest that only polls.</param>
    public I8042(IMachineControl control, IInterruptLine? keyboardInterrupt)
    {
        _control = control;
        _interrupt = keyboardInterrupt;
        Data = new Side(this, isCommand: false);
        Command = new Side(this, isCommand: true);
    }

    /// <summary>What answers <see cref="DataPort"/>.</summary>
    public IAccessHandler Data { get; }

    /// <summary>What answers <see cref="CommandPort"/>.</summary>
    public IAccessHandler Command { get; }

    /// <summary>The keyboard's lamps: bit 0 scroll lock, 1 number lock, 2 caps lock.</summary>
    public byte Leds
    {
        get
        {
            lock (_gate)
            {
                return _keyboard.Leds;
            }
        }
    }

    /// <summary>
    /// Presses the keys in order and lets them go in the opposite order, so that <c>Press(Control, Alt, Delete)</c> is a chord. They wait until the guest
    /// takes them. False when too many wait already, of which none was taken. Any thread.
    /// </summary>
    public bool Press(params ReadOnlySpan<PcKey> keys)
    {
        lock (_gate)
        {
            bool taken = true;
            for (int i = 0; i < keys.Length; i++)
            {
                taken &= _keyboard.Key(keys[i], down: true);
            }

            for (int i = keys.Length - 1; i >= 0; i--)
            {
                taken &= _keyboard.Key(keys[i], down: false);
            }

            Pump();
            return taken;
        }
    }

    /// <summary>Types text on a US keyboard: ASCII letters, digits, signs, blank, tab, line feed (Enter), backspace, escape. Returns how many characters were
    /// typed: it stops at one without a key, or when too many wait.</summary>
    public int TypeKeys(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        for (int i = 0; i < text.Length; i++)
        {
            (PcKey key, bool shift) = ScanCodes.For(text[i]);
            bool typed = key != PcKey.None && (shift ? Press(PcKey.Shift, key) : Press(key));
            if (!typed)
            {
                return i;
            }
        }

        return text.Length;
    }

    /// <inheritdoc/>
    public void Reset()
    {
        lock (_gate)
        {
            _state = State.PowerOn;
            _keyboard.Reset();
            Update();
        }
    }

    private static class Status
    {
        public const byte OutputFull = 0x01;
        public const byte SystemFlag = 0x04;
        public const byte LastWasCommand = 0x08;
        public const byte NotLocked = 0x10;
        public const byte Mouse = 0x20;
        public const byte Timeout = 0x40;
    }

    private static class CommandByte
    {
        public const byte KeyboardInterrupt = 0x01;
        public const byte SystemFlag = 0x04;
        public const byte KeyboardDisabled = 0x10;
        public const byte AuxDisabled = 0x20;
        public const byte Translate = 0x40;
    }

    private static class OutputPort
    {
        public const byte NotReset = 0x01;
        public const byte A20 = 0x02;
        public const byte OutputFull = 0x10;
    }

    // Pending is the command that waits for a data byte, 0 for none. Flags are the status bits that come with the output byte.
    private record struct State(byte Output, bool Full, byte Flags, byte Mode, byte Port, byte Pending, bool LastWasCommand, bool ReleaseSeen)
    {
        public static State PowerOn => new()
        {
            Mode = CommandByte.SystemFlag | CommandByte.KeyboardDisabled | CommandByte.AuxDisabled,
            Port = OutputPort.NotReset | OutputPort.A20,
        };
    }

    private byte ReadData()
    {
        lock (_gate)
        {
            byte value = _state.Output;
            _state.Full = false;
            _state.Flags = 0;

            // The line goes down before the next byte takes it up again: an edge for each.
            Update();
            Pump();
            return value;
        }
    }

    private byte ReadStatus()
    {
        lock (_gate)
        {
            return (byte)(Status.NotLocked
                | (_state.Full ? Status.OutputFull | _state.Flags : 0)
                | (_state.LastWasCommand ? Status.LastWasCommand : 0)
                | ((_state.Mode & CommandByte.SystemFlag) != 0 ? Status.SystemFlag : 0));
        }
    }

    private void WriteCommand(byte command)
    {
        bool reset = false;
        lock (_gate)
        {
            _state.LastWasCommand = true;
            _state.Pending = 0;
            switch (command)
            {
                case 0x20:
                    Answer(_state.Mode);
                    break;
                case 0x60 or 0xD1 or 0xD2 or 0xD3 or 0xD4:
                    _state.Pending = command;
                    break;
                case 0xA7:
                    _state.Mode |= CommandByte.AuxDisabled;
                    break;
                case 0xA8:
                    _state.Mode &= unchecked((byte)~CommandByte.AuxDisabled);
                    break;
                case 0xA9:
                    Answer(0x01); // the mouse's clock line is stuck low: nothing there
                    break;
                case 0xAA:
                    SelfTest();
                    break;
                case 0xAB:
                    Answer(0x00);
                    break;
                case 0xAD:
                    _state.Mode |= CommandByte.KeyboardDisabled;
                    break;
                case 0xAE:
                    _state.Mode &= unchecked((byte)~CommandByte.KeyboardDisabled);
                    break;
                case 0xC0:
                    Answer(0x80); // keyboard not locked
                    break;
                case 0xD0:
                    Answer((byte)(_state.Port | (_state.Full ? OutputPort.OutputFull : 0)));
                    break;
                case 0xDD:
                    _state.Port &= unchecked((byte)~OutputPort.A20);
                    break;
                case 0xDF:
                    _state.Port |= OutputPort.A20;
                    break;
                case >= 0xF0:
                    // Pulses the output lines whose bits are 0; line 0 is the processor's reset.
                    reset = (command & OutputPort.NotReset) == 0;
                    break;
                default:
                    break;
            }

            Update();
            Pump();
        }

        RequestReset(reset);
    }

    private void WriteData(byte value)
    {
        bool reset = false;
        lock (_gate)
        {
            byte pending = _state.Pending;
            _state.Pending = 0;
            _state.LastWasCommand = false;
            switch (pending)
            {
                case 0x60:
                    _state.Mode = (byte)(value & 0x7F);
                    break;
                case 0xD1:
                    _state.Port = (byte)((value & ~OutputPort.OutputFull) | OutputPort.NotReset);
                    reset = (value & OutputPort.NotReset) == 0;
                    break;
                case 0xD2 or 0xD3:
                    // A mouse loopback comes back without the mouse bit, by which drivers see that there is no mouse interface.
                    Answer(value);
                    break;
                case 0xD4:
                    Answer(0xFE, Status.Timeout | Status.Mouse);
                    break;
                default:
                    // Sending to the keyboard also opens its interface.
                    _state.Mode &= unchecked((byte)~CommandByte.KeyboardDisabled);
                    _state.Full = false;
                    _keyboard.Receive(value);
                    break;
            }

            Update();
            Pump();
        }

        RequestReset(reset);
    }

    private void SelfTest()
    {
        _state.Mode |= CommandByte.SystemFlag;
        _state.ReleaseSeen = false;
        Answer(0x55);
    }

    private void Answer(byte value, byte flags = 0) => (_state.Output, _state.Full, _state.Flags) = (value, true, flags);

    // Moves the keyboard's next byte into the empty output buffer.
    private void Pump()
    {
        while (!_state.Full && (_state.Mode & CommandByte.KeyboardDisabled) == 0 && _keyboard.TryTake(out byte value))
        {
            if ((_state.Mode & CommandByte.Translate) == 0)
            {
                Answer(value);
            }
            else if (value == ScanCodes.Release)
            {
                _state.ReleaseSeen = true;
            }
            else
            {
                Answer((byte)(ScanCodes.ToFirst(value) | (_state.ReleaseSeen ? 0x80 : 0)));
                _state.ReleaseSeen = false;
            }
        }

        Update();
    }

    private void Update() =>
        _interrupt?.Set(_state.Full && (_state.Flags & Status.Mouse) == 0 && (_state.Mode & CommandByte.KeyboardInterrupt) != 0);

    private void RequestReset(bool wanted)
    {
        if (wanted)
        {
            _control.Request(MachineRequest.Reset, 0, "reset through the keyboard controller");
        }
    }

    private sealed class Side(I8042 owner, bool isCommand) : IAccessHandler, IByteRegisters
    {
        public AccessResult Read(ulong offset, int size, out ulong value) => AccessLanes.ReadBytes(this, Length, offset, size, out value);

        public AccessResult Write(ulong offset, int size, ulong value) => AccessLanes.WriteBytes(this, Length, offset, size, value);

        public byte ReadByte(uint offset) => isCommand ? owner.ReadStatus() : owner.ReadData();

        public void WriteByte(uint offset, byte value)
        {
            if (isCommand)
            {
                owner.WriteCommand(value);
            }
            else
            {
                owner.WriteData(value);
            }
        }
    }
}
