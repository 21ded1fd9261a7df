using Aperture.Memory;

namespace Aperture.Devices.Flash;

/// <summary>
/// A bank of parallel flash, eight bits wide, with Intel's command set (JEDEC JESD68; Intel 28FxxxJ3 data sheet), as OVMF's variable driver drives it.
/// The content lies in a memory block: in array mode the machine may let the guest read it directly, and only writes come here.
/// </summary>
/// <remarks>
/// Program stores what is written, also where a cell would have to go from 0 to 1, as the virtual machines do that this firmware is written
/// for. Nothing takes time, so the ready bit is missing only after the status was cleared. A wide access is one cycle: its low byte is the
/// command, all of it is data; status reads the same in each byte.
/// </remarks>
public sealed class PflashDevice : IAccessHandler, IResettable
{
    /// <summary>Bytes of an erase block.</summary>
    public const int BlockSize = 4096;

    /// <summary>The most bytes one buffered program takes.</summary>
    public const int BufferSize = 256;

    /// <summary>The largest bank: the query counts blocks in 16 bits.</summary>
    public const ulong LargestBank = 65536UL * BlockSize;

    private readonly Lock _gate = new();
    private readonly RamBlock _memory;
    private readonly IFlashStore? _store;
    private readonly bool _readOnly;
    private readonly byte[] _query;
    private readonly byte[] _buffer = new byte[BufferSize];
    private static readonly byte[] ErasedBlock = MakeErasedBlock();

    private Reads _reads = Reads.Array;
    private Cycle _cycle = Cycle.Command;
    private byte _status = PflashStatus.Ready;
    private ulong _bufferStart;
    private int _bufferLength;
    private int _bufferLeft;
    private bool _bufferBroken;

    // Written under the lock, read by anyone.
    private volatile bool _arrayMode = true;

    /// <summary>What a read answers.</summary>
    private enum Reads : byte
    {
        Array,
        Status,
        Identifier,
        Query,
    }

    /// <summary>What the next write is.</summary>
    private enum Cycle : byte
    {
        Command,
        ProgramData,
        EraseConfirm,
        LockConfirm,
        BufferCount,
        BufferData,
        BufferConfirm,
    }

    /// <summary>Makes a bank over <paramref name="memory"/>, which stays the caller's.</summary>
    /// <param name="memory">The content; its size is the bank's.</param>
    /// <param name="store">Told of every change; null to keep it in memory only.</param>
    /// <param name="readOnly">Program and erase fail with their status bits: the bank of firmware code.</param>
    /// <exception cref="ApertureException">The size is not a multiple of 4 KiB, or larger than 256 MiB.</exception>
    public PflashDevice(RamBlock memory, IFlashStore? store = null, bool readOnly = false)
    {
        ArgumentNullException.ThrowIfNull(memory);
        if (memory.Size % BlockSize != 0 || memory.Size > LargestBank)
        {
            throw new ApertureException(
                $"{memory.Name}: a flash bank of {ByteSize.Format(memory.Size)} cannot be made; its size must be a multiple of {ByteSize.Format(BlockSize)}, "
                    + $"at most {ByteSize.Format(LargestBank)}");
        }

        _memory = memory;
        _store = store;
        _readOnly = readOnly;
        _query = PflashQuery.Build(memory.Size, BlockSize, BufferSize);
    }

    /// <summary>Reads give the content: the machine may map the block for reading. Otherwise every access must come to the handler.</summary>
    public bool IsArrayMode => _arrayMode;

    /// <summary>
    /// <see cref="IsArrayMode"/> changed. Raised on the thread whose access or reset changed it, outside the bank's lock; the machine has to change the
    /// mapping before that access returns to the guest. Two threads may raise it at once: look at the property, not at the order.
    /// </summary>
    public event Action<PflashDevice>? ModeChanged;

    /// <inheritdoc/>
    public AccessResult Read(ulong offset, int size, out ulong value)
    {
        if (!AccessLanes.Starts(offset, size, _memory.Size))
        {
            value = ulong.MaxValue;
            return AccessResult.Unclaimed;
        }

        lock (_gate)
        {
            value = 0;
            for (int i = 0; i < size; i++)
            {
                value |= (ulong)ReadByte(offset + (ulong)i) << (8 * i);
            }
        }

        return AccessResult.Ok;
    }

    /// <inheritdoc/>
    public AccessResult Write(ulong offset, int size, ulong value)
    {
        if (!AccessLanes.Starts(offset, size, _memory.Size))
        {
            return AccessResult.Unclaimed;
        }

        bool changed;
        lock (_gate)
        {
            Step(offset, size, value);
            changed = UpdateMode();
        }

        if (changed)
        {
            ModeChanged?.Invoke(this);
        }

        return AccessResult.Ok;
    }

    /// <summary>Back to array mode; the content stays.</summary>
    public void Reset()
    {
        bool changed;
        lock (_gate)
        {
            Enter(Reads.Array);
            _status = PflashStatus.Ready;
            changed = UpdateMode();
        }

        if (changed)
        {
            ModeChanged?.Invoke(this);
        }
    }

    private static byte[] MakeErasedBlock()
    {
        byte[] block = new byte[BlockSize];
        Array.Fill(block, (byte)0xFF);
        return block;
    }

    private bool UpdateMode()
    {
        bool array = _reads == Reads.Array;
        bool changed = array != _arrayMode;
        _arrayMode = array;
        return changed;
    }

    private byte ReadByte(ulong offset) => _reads switch
    {
        _ when offset >= _memory.Size => 0xFF,
        Reads.Status => _status,
        Reads.Query => offset < (ulong)_query.Length ? _query[offset] : (byte)0,

        // No maker, no model, no block locked.
        Reads.Identifier => 0,
        _ => _memory.Read<byte>(offset),
    };

    private void Enter(Reads reads, Cycle cycle = Cycle.Command)
    {
        _reads = reads;
        _cycle = cycle;
    }

    private void Step(ulong offset, int size, ulong value)
    {
        switch (_cycle)
        {
            case Cycle.Command:
                Command((byte)value);
                break;
            case Cycle.ProgramData:
                Program(offset, size, value);
                Enter(Reads.Status);
                break;
            case Cycle.BufferCount:
                _bufferLength = _bufferLeft = (byte)value + 1;
                _bufferBroken = false;
                Enter(Reads.Status, Cycle.BufferData);
                break;
            case Cycle.BufferData:
                TakeBufferData(offset, size, value);
                break;
            default:
                Confirm(offset, (byte)value);
                break;
        }
    }

    private void Command(byte command)
    {
        switch (command)
        {
            case PflashCommand.WordProgram or PflashCommand.AlternateProgram:
                Enter(Reads.Status, Cycle.ProgramData);
                break;
            case PflashCommand.BlockErase:
                Enter(Reads.Status, Cycle.EraseConfirm);
                break;
            case PflashCommand.BlockLock:
                Enter(Reads.Status, Cycle.LockConfirm);
                break;
            case PflashCommand.BufferedProgram:
                _status |= PflashStatus.Ready;
                Enter(Reads.Status, Cycle.BufferCount);
                break;
            case PflashCommand.ReadStatus:
                Enter(Reads.Status);
                break;
            case PflashCommand.ReadIdentifier:
                Enter(Reads.Identifier);
                break;
            case PflashCommand.ReadQuery:
                Enter(Reads.Query);
                break;
            case PflashCommand.ClearStatus:
                _status = 0;
                Enter(Reads.Array);
                break;
            default:
                // Read array; and an unknown command leaves the chip readable for a driver that looks for another kind.
                Enter(Reads.Array);
                break;
        }
    }

    private void Confirm(ulong offset, byte command)
    {
        Cycle cycle = _cycle;
        if (command == PflashCommand.ReadArray)
        {
            Enter(Reads.Array);
            return;
        }

        Enter(Reads.Status);
        _status |= PflashStatus.Ready;
        switch (cycle)
        {
            case Cycle.EraseConfirm when command == PflashCommand.Confirm:
                EraseBlock(offset);
                break;
            case Cycle.BufferConfirm when command == PflashCommand.Confirm && !_bufferBroken:
                Store(_bufferStart, _buffer.AsSpan(0, _bufferLength), PflashStatus.ProgramError);
                break;
            case Cycle.LockConfirm:
                // Every block is always unlocked.
                break;
            default:
                _status |= PflashStatus.SequenceError;
                break;
        }
    }

    private void Program(ulong offset, int size, ulong value)
    {
        Span<byte> bytes = stackalloc byte[8];
        int count = (int)Math.Min((ulong)size, _memory.Size - offset);
        for (int i = 0; i < count; i++)
        {
            bytes[i] = (byte)(value >> (8 * i));
        }

        _status |= PflashStatus.Ready;
        Store(offset, bytes[..count], PflashStatus.ProgramError);
    }

    private void EraseBlock(ulong offset) => Store(offset & ~(BlockSize - 1UL), ErasedBlock, PflashStatus.EraseError);

    private void TakeBufferData(ulong offset, int size, ulong value)
    {
        if (_bufferLeft == _bufferLength)
        {
            BeginBuffer(offset);
        }

        for (int i = 0; i < size; i++)
        {
            ulong at = offset + (ulong)i - _bufferStart;
            if (at < (ulong)_bufferLength)
            {
                _buffer[at] = (byte)(value >> (8 * i));
            }
            else
            {
                _bufferBroken = true;
            }
        }

        _bufferLeft = Math.Max(0, _bufferLeft - size);
        Enter(Reads.Status, _bufferLeft == 0 ? Cycle.BufferConfirm : Cycle.BufferData);
    }

    // The first data names the start. Bytes that no data names keep what they hold.
    private void BeginBuffer(ulong offset)
    {
        _bufferStart = offset;
        if ((ulong)_bufferLength > _memory.Size - offset)
        {
            _bufferBroken = true;
            _bufferStart = _memory.Size - (ulong)_bufferLength;
        }

        _memory.Read(_bufferStart, _buffer.AsSpan(0, _bufferLength));
    }

    private void Store(ulong offset, ReadOnlySpan<byte> bytes, byte error)
    {
        if (_readOnly)
        {
            _status |= error;
            return;
        }

        _memory.Write(offset, bytes);
        _store?.Changed(offset, bytes);
    }
}
