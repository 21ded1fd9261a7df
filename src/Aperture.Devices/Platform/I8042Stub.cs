namespace Aperture.Devices;

/// <summary>
/// A keyboard controller (8042, ports 0x60 and 0x64) with nothing plugged in: reset and A20 through its commands, self-tests that
/// pass, and drivers that find neither keyboard nor mouse without waiting. A byte for the keyboard is answered as the controller
/// answers when no clock comes from the other end: data 0xFE with the time-out bit. The mouse interface fails its own test.
/// </summary>
public sealed class I8042Stub : IResettable
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

    private State _state = State.PowerOn;

    /// <summary>Makes the controller in its reset state.</summary>
    /// <param name="control">What a reset is asked of.</param>
    /// <param name="keyboardInterrupt">IRQ 1, or null when the time-out answers need not interrupt.</param>
    public I8042Stub(IMachineControl control, IInterruptLine? keyboardInterrupt = null)
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

    /// <inheritdoc/>
    public void Reset()
    {
        lock (_gate)
        {
            _state = State.PowerOn;
            Update();
        }
    }

    private static class Status
    {
        public const byte OutputFull = 0x01;
        public const byte SystemFlag = 0x04;
        public const byte LastWasCommand = 0x08;
        public const byte NotLocked = 0x10;
        public const byte Timeout = 0x40;
    }

    private static class CommandByte
    {
        public const byte KeyboardInterrupt = 0x01;
        public const byte SystemFlag = 0x04;
        public const byte KeyboardDisabled = 0x10;
        public const byte AuxDisabled = 0x20;
    }

    private static class OutputPort
    {
        public const byte NotReset = 0x01;
        public const byte A20 = 0x02;
    }

    // Pending is the command that waits for a data byte, 0 for none.
    private record struct State(byte Output, bool Full, bool TimedOut, byte Mode, byte Port, byte Pending, bool LastWasCommand)
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
            _state.Full = false;
            _state.TimedOut = false;
            Update();
            return _state.Output;
        }
    }

    private byte ReadStatus()
    {
        lock (_gate)
        {
            return (byte)(Status.NotLocked
                | (_state.Full ? Status.OutputFull : 0)
                | (_state.TimedOut ? Status.Timeout : 0)
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
                    _state.Mode |= CommandByte.SystemFlag;
                    Answer(0x55);
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
                    Answer(_state.Port);
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
                    _state.Port = (byte)(value | OutputPort.NotReset);
                    reset = (value & OutputPort.NotReset) == 0;
                    break;
                case 0xD2 or 0xD3:
                    // A mouse loopback comes back without the mouse bit, by which drivers see that there is no mouse interface.
                    Answer(value);
                    break;
                default:
                    Answer(0xFE);
                    _state.TimedOut = true;
                    break;
            }

            Update();
        }

        RequestReset(reset);
    }

    private void Answer(byte value) => (_state.Output, _state.Full, _state.TimedOut) = (value, true, false);

    private void Update() => _interrupt?.Set(_state.Full && (_state.Mode & CommandByte.KeyboardInterrupt) != 0);

    private void RequestReset(bool wanted)
    {
        if (wanted)
        {
            _control.Request(MachineRequest.Reset, 0, "reset through the keyboard controller");
        }
    }

    private sealed class Side(I8042Stub owner, bool isCommand) : IAccessHandler, IByteRegisters
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
