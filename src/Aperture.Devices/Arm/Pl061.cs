namespace Aperture.Devices.Arm;

/// <summary>
/// A PrimeCell GPIO block of eight lines, PL061 (Arm DDI 0190). Lines that nothing drives from outside are low. Nothing is connected to its outputs.
/// </summary>
public sealed class Pl061 : IAccessHandler, IWordRegisters, IResettable
{
    /// <summary>Bytes of its page.</summary>
    public const uint Length = PrimeCellId.PageSize;

    /// <summary>How many lines there are.</summary>
    public const int Lines = 8;

    // Offsets (table 3-1). The data register is there 256 times: address bits 9:2 say which lines an access is about (3.3.1).
    private const uint DataEnd = 0x400;
    private const uint Direction = 0x400;
    private const uint LevelSense = 0x404;
    private const uint BothEdges = 0x408;
    private const uint Event = 0x40C;
    private const uint InterruptMask = 0x410;
    private const uint RawInterrupts = 0x414;
    private const uint MaskedInterrupts = 0x418;
    private const uint InterruptClear = 0x41C;
    private const uint AlternateFunction = 0x420;
    private static readonly PrimeCellId Id = new(0x061, 0);

    private readonly Lock _gate = new();
    private readonly IInterruptLine _interrupt;
    private byte _inputs;
    private byte _outputs;
    private byte _direction;
    private byte _levelSense;
    private byte _bothEdges;
    private byte _event;
    private byte _mask;
    private byte _edges;
    private byte _alternate;
    private bool _asserted;

    /// <summary>Makes the block in its reset state, every line an input and low.</summary>
    public Pl061(IInterruptLine interrupt) => _interrupt = interrupt;

    /// <inheritdoc/>
    public AccessResult Read(ulong offset, int size, out ulong value) => AccessLanes.ReadWords(this, Length, offset, size, out value);

    /// <inheritdoc/>
    public AccessResult Write(ulong offset, int size, ulong value) => AccessLanes.WriteWords(this, Length, offset, size, value);

    /// <summary>Drives line <paramref name="line"/> from outside. Any thread.</summary>
    public void SetInput(int line, bool high)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)line, (uint)Lines, nameof(line));
        lock (_gate)
        {
            byte before = Data;
            _inputs = (byte)(high ? _inputs | 1 << line : _inputs & ~(1 << line));
            SeeEdges(before);
            Update();
        }
    }

    /// <summary>Registers are as after power-on; what drives the lines from outside goes on.</summary>
    public void Reset()
    {
        lock (_gate)
        {
            (_outputs, _direction, _levelSense, _bothEdges, _event, _mask, _edges, _alternate) = (0, 0, 0, 0, 0, 0, 0, 0);
            Update();
        }
    }

    // An output reads as it is driven from inside.
    private byte Data => (byte)((_outputs & _direction) | (_inputs & ~_direction));

    // A line that is sensed by level asserts as long as it is at the level of its event bit (3.3.3, 3.3.5).
    private byte Raw => (byte)((_edges & ~_levelSense) | (_levelSense & ~(Data ^ _event)));

    uint IWordRegisters.ReadWord(ulong offset, uint lanes)
    {
        lock (_gate)
        {
            return offset switch
            {
                < DataEnd => Data & (uint)(offset >> 2),
                Direction => _direction,
                LevelSense => _levelSense,
                BothEdges => _bothEdges,
                Event => _event,
                InterruptMask => _mask,
                RawInterrupts => Raw,
                MaskedInterrupts => (uint)(Raw & _mask),
                AlternateFunction => _alternate,
                _ => Id.Read(offset),
            };
        }
    }

    void IWordRegisters.WriteWord(ulong offset, uint value, uint lanes)
    {
        byte bits = (byte)value;
        lock (_gate)
        {
            byte before = Data;
            switch (offset)
            {
                case < DataEnd:
                    byte lines = (byte)(offset >> 2);
                    _outputs = (byte)((_outputs & ~lines) | (bits & lines));
                    break;
                case Direction:
                    _direction = bits;
                    break;
                case LevelSense:
                    _levelSense = bits;
                    break;
                case BothEdges:
                    _bothEdges = bits;
                    break;
                case Event:
                    _event = bits;
                    break;
                case InterruptMask:
                    _mask = bits;
                    break;
                case InterruptClear:
                    _edges &= (byte)~bits;
                    break;
                case AlternateFunction:
                    _alternate = bits;
                    break;
                default:
                    break;
            }

            SeeEdges(before);
            Update();
        }
    }

    private void SeeEdges(byte before)
    {
        byte now = Data;
        byte rising = (byte)(now & ~before);
        byte falling = (byte)(before & ~now);
        _edges |= (byte)(~_levelSense & ((_bothEdges & (rising | falling)) | (~_bothEdges & ((_event & rising) | (~_event & falling)))));
    }

    private void Update()
    {
        bool asserted = (Raw & _mask) != 0;
        if (asserted != _asserted)
        {
            _asserted = asserted;
            _interrupt.Set(asserted);
        }
    }
}
