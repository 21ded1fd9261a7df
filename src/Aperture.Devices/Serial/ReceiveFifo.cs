namespace Aperture.Devices.Serial;

/// <summary>The receiver's bytes: 16 in FIFO mode, one otherwise, each with the break mark that travels beside it. Not thread-safe.</summary>
internal sealed class ReceiveFifo
{
    /// <summary>The 16550A's depth.</summary>
    public const int Depth = 16;

    private readonly byte[] _bytes = new byte[Depth];
    private readonly bool[] _breaks = new bool[Depth];
    private int _head;

    /// <summary>How many bytes wait.</summary>
    public int Count { get; private set; }

    /// <summary>How many bytes fit: <see cref="Depth"/> or 1.</summary>
    public int Capacity { get; private set; } = 1;

    /// <summary>True when nothing more fits.</summary>
    public bool IsFull => Count >= Capacity;

    /// <summary>How many of the waiting bytes still carry a break mark.</summary>
    public int Marks { get; private set; }

    /// <summary>Empties it and sets what fits.</summary>
    public void Clear(bool fifoMode)
    {
        Capacity = fifoMode ? Depth : 1;
        Clear();
    }

    /// <summary>Empties it.</summary>
    public void Clear() => (Count, _head, Marks) = (0, 0, 0);

    /// <summary>Appends a byte; the caller has checked that it fits.</summary>
    public void Push(byte value, bool isBreak)
    {
        int at = (_head + Count) % Depth;
        _bytes[at] = value;
        _breaks[at] = isBreak;
        Marks += isBreak ? 1 : 0;
        Count++;
    }

    /// <summary>Takes the oldest byte, or returns 0 when there is none.</summary>
    public byte Pop()
    {
        if (Count == 0)
        {
            return 0;
        }

        TakeMark();
        byte value = _bytes[_head];
        _head = (_head + 1) % Depth;
        Count--;
        return value;
    }

    /// <summary>Takes the break mark off the oldest byte; true when it had one.</summary>
    public bool TakeMark()
    {
        if (Count == 0 || !_breaks[_head])
        {
            return false;
        }

        _breaks[_head] = false;
        Marks--;
        return true;
    }
}
