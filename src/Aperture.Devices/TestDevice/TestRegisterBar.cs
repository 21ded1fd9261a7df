using System.Buffers.Binary;

namespace Aperture.Devices.TestDevice;

/// <summary>The BAR with the register block (<see cref="TestRegisters"/>) and the DMA buffer.</summary>
internal sealed class TestRegisterBar : IAccessHandler, IWordRegisters
{
    private readonly ulong _size;
    private readonly ulong _bufferEnd;
    private readonly uint _instance;
    private readonly uint _features;
    private readonly TestInterruptUnit _interrupts;
    private readonly TestDmaEngine _engine;
    private readonly TestAccessCounter _accesses;

    // Scratch and the DMA operands: plain words, each read and written whole by any vCPU; byte writes merge with the value seen,
    // as two masters on a real bus would race.
    private readonly uint[] _words = new uint[(int)(TestRegisters.DmaStatus / 4)];

    /// <summary>Makes the BAR.</summary>
    /// <param name="spec">The device.</param>
    /// <param name="bar">Which of its BARs this is.</param>
    /// <param name="interrupts">What the trigger register fires.</param>
    /// <param name="engine">What the command register runs.</param>
    /// <param name="accesses">Counts this BAR's accesses.</param>
    public TestRegisterBar(TestDeviceSpec spec, TestBarSpec bar, TestInterruptUnit interrupts, TestDmaEngine engine, TestAccessCounter accesses)
    {
        _size = bar.Size;
        ulong end = spec.MsixPlace is { } place && place.Bar == bar.Index ? place.TableOffset : bar.Size;
        _bufferEnd = Math.Min(TestRegisters.Buffer + TestDmaEngine.BufferSize, end);
        _instance = TestRegisters.InstanceOf(spec.Id);
        _features = (uint)bar.Index | (uint)spec.MsiVectors << 8 | (uint)spec.MsixVectors << 16;
        (_interrupts, _engine, _accesses) = (interrupts, engine, accesses);
    }

    /// <inheritdoc/>
    public AccessResult Read(ulong offset, int size, out ulong value)
    {
        _accesses.Count();
        return AccessLanes.ReadWords(this, _size, offset, size, out value);
    }

    /// <inheritdoc/>
    public AccessResult Write(ulong offset, int size, ulong value)
    {
        _accesses.Count();
        return AccessLanes.WriteWords(this, _size, offset, size, value);
    }

    /// <summary>Clears scratch and operands.</summary>
    public void Reset() => Array.Clear(_words);

    uint IWordRegisters.ReadWord(ulong offset, uint lanes)
    {
        if (offset >= TestRegisters.Buffer)
        {
            return offset < _bufferEnd ? BinaryPrimitives.ReadUInt32LittleEndian(BufferWord(offset)) : 0;
        }

        return (uint)offset switch
        {
            TestRegisters.Identification => TestRegisters.Magic,
            TestRegisters.Version => TestRegisters.CurrentVersion,
            TestRegisters.Instance => _instance,
            TestRegisters.Features => _features,
            TestRegisters.InterruptTrigger => 0,
            TestRegisters.InterruptStatus => _interrupts.Status,
            TestRegisters.InterruptCount => _interrupts.Fired,
            TestRegisters.AccessCount => _accesses.Low,
            TestRegisters.DmaStatus => _engine.Status,
            < TestRegisters.DmaStatus => Volatile.Read(ref _words[(int)(offset >> 2)]),
            _ => 0,
        };
    }

    void IWordRegisters.WriteWord(ulong offset, uint value, uint lanes)
    {
        if (offset >= TestRegisters.Buffer)
        {
            WriteBuffer(offset, value, lanes);
            return;
        }

        uint register = (uint)offset;
        bool lowByte = (lanes & 0xFF) != 0;
        switch (register)
        {
            case TestRegisters.InterruptTrigger when lowByte:
                _interrupts.Trigger(value & lanes);
                break;
            case TestRegisters.InterruptStatus:
                _interrupts.Acknowledge(value & lanes);
                break;
            case TestRegisters.DmaCommand:
                Merge(register, value, lanes);
                if (lowByte)
                {
                    RunCommand();
                }

                break;
            case (>= TestRegisters.Scratch and < TestRegisters.InterruptTrigger) or (>= TestRegisters.DmaSource and < TestRegisters.DmaCommand):
                Merge(register, value, lanes);
                break;
            default:
                break;
        }
    }

    private void RunCommand()
    {
        uint command = Word(TestRegisters.DmaCommand);
        _engine.Run(
            command <= byte.MaxValue ? (TestDmaCommand)command : (TestDmaCommand)byte.MaxValue,
            Word(TestRegisters.DmaSource) | (ulong)Word(TestRegisters.DmaSource + 4) << 32,
            Word(TestRegisters.DmaDestination) | (ulong)Word(TestRegisters.DmaDestination + 4) << 32,
            Word(TestRegisters.DmaLength));
    }

    private uint Word(uint register) => Volatile.Read(ref _words[register >> 2]);

    private void Merge(uint register, uint value, uint lanes)
    {
        ref uint word = ref _words[register >> 2];
        Volatile.Write(ref word, Volatile.Read(ref word) & ~lanes | value & lanes);
    }

    // Sizes are powers of two of at least 16 where a buffer fits, so a word inside is wholly inside.
    private Span<byte> BufferWord(ulong offset) => _engine.Buffer.AsSpan((int)(offset - TestRegisters.Buffer), 4);

    private void WriteBuffer(ulong offset, uint value, uint lanes)
    {
        if (offset < _bufferEnd)
        {
            Span<byte> word = BufferWord(offset);
            uint merged = BinaryPrimitives.ReadUInt32LittleEndian(word) & ~lanes | value & lanes;
            BinaryPrimitives.WriteUInt32LittleEndian(word, merged);
        }
    }
}
