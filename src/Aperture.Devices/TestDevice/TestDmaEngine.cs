namespace Aperture.Devices.TestDevice;

/// <summary>What a test device's DMA engine is told to do.</summary>
public enum TestDmaCommand : byte
{
    /// <summary>Nothing; the reset value.</summary>
    None = 0,

    /// <summary>Source is a guest address, destination an offset in the device's buffer.</summary>
    GuestToBuffer = 1,

    /// <summary>Source is an offset in the device's buffer, destination a guest address.</summary>
    BufferToGuest = 2,

    /// <summary>Both are guest addresses. Copied upwards in pieces of 4 KiB, so overlapping ranges do not copy like memmove.</summary>
    GuestToGuest = 3,
}

/// <summary>Why a DMA command failed.</summary>
public enum TestDmaError : byte
{
    /// <summary>It did not.</summary>
    None = 0,

    /// <summary>No such command.</summary>
    Command = 1,

    /// <summary>The length is above the limit, or the range leaves the buffer.</summary>
    Length = 2,

    /// <summary>Guest memory did not take at least one byte, bus mastering is off, or the range passes the end of the address space.</summary>
    Bus = 3,
}

/// <summary>The test device's DMA engine. One command runs at a time, on the thread that wrote it; one written meanwhile is dropped.</summary>
internal sealed class TestDmaEngine(IDma dma)
{
    /// <summary>Bytes of the buffer.</summary>
    public const int BufferSize = 4096;

    /// <summary>The most bytes one command moves.</summary>
    public const uint LongestTransfer = 16 << 20;

    private const uint Done = 1;
    private const uint Error = 2;
    private const uint Busy = 4;

    private readonly byte[] _piece = new byte[BufferSize];

    // Written by the thread that owns _running, read by any. No lock is held while guest memory is accessed: the access may
    // end in another device's command register, and that device's command in this one's, where it is dropped.
    private int _running;
    private uint _status;

    /// <summary>The bytes that commands 1 and 2 move. Guest accesses are not ordered with a running command.</summary>
    public byte[] Buffer { get; } = new byte[BufferSize];

    /// <summary>The status register.</summary>
    public uint Status => Volatile.Read(ref _running) != 0 ? Busy : Volatile.Read(ref _status);

    /// <summary>Runs one command to its end.</summary>
    public void Run(TestDmaCommand command, ulong source, ulong destination, uint length)
    {
        if (Interlocked.Exchange(ref _running, 1) != 0)
        {
            return;
        }

        TestDmaError error = command switch
        {
            TestDmaCommand.GuestToBuffer => Fill(source, destination, length),
            TestDmaCommand.BufferToGuest => Drain(source, destination, length),
            TestDmaCommand.GuestToGuest => Copy(source, destination, length),
            _ => TestDmaError.Command,
        };
        Volatile.Write(ref _status, error == TestDmaError.None ? Done : Error | (uint)error << 8);

        // Releases the engine and publishes the status with it.
        Volatile.Write(ref _running, 0);
    }

    /// <summary>Clears status and buffer. The machine calls it with no vCPU inside the device.</summary>
    public void Reset()
    {
        Volatile.Write(ref _status, 0);
        Array.Clear(Buffer);
    }

    private static bool InBuffer(ulong offset, uint length) => length <= BufferSize && offset <= BufferSize - length;

    private TestDmaError Fill(ulong source, ulong offset, uint length)
    {
        if (!InBuffer(offset, length))
        {
            return TestDmaError.Length;
        }

        return Reachable(source, length) && dma.Read(new GuestAddress(source), Buffer.AsSpan((int)offset, (int)length))
            ? TestDmaError.None
            : TestDmaError.Bus;
    }

    private TestDmaError Drain(ulong offset, ulong destination, uint length)
    {
        if (!InBuffer(offset, length))
        {
            return TestDmaError.Length;
        }

        return Reachable(destination, length) && dma.Write(new GuestAddress(destination), Buffer.AsSpan((int)offset, (int)length))
            ? TestDmaError.None
            : TestDmaError.Bus;
    }

    private TestDmaError Copy(ulong source, ulong destination, uint length)
    {
        if (length > LongestTransfer)
        {
            return TestDmaError.Length;
        }

        if (!Reachable(source, length) || !Reachable(destination, length))
        {
            return TestDmaError.Bus;
        }

        for (uint done = 0; done < length;)
        {
            Span<byte> piece = _piece.AsSpan(0, (int)Math.Min(length - done, BufferSize));
            if (!dma.Read(new GuestAddress(source + done), piece) || !dma.Write(new GuestAddress(destination + done), piece))
            {
                return TestDmaError.Bus;
            }

            done += (uint)piece.Length;
        }

        return TestDmaError.None;
    }

    private static bool Reachable(ulong address, uint length) => AddressRange.Fits(new GuestAddress(address), length);
}
