using System.Diagnostics.CodeAnalysis;

namespace Aperture.Devices.Serial;

/// <summary>
/// What UARTs have in common: a receiver that takes bytes from the host's side of the line while it has room, an interrupt output, and a transmitter to the
/// other side.
/// </summary>
/// <remarks>
/// All state is under one lock. The backend is called outside it: a backend that blocks stops the vCPU that transmits, not the input side or the other vCPUs.
/// </remarks>
/// <param name="interrupt">The UART's interrupt output, level triggered.</param>
/// <param name="backend">Where transmitted bytes go.</param>
/// <param name="hasRoom">Whether it receives in its reset state.</param>
[SuppressMessage("Reliability", "CA1001", Justification = "The event never makes a wait handle: there is nothing to dispose of.")]
public abstract class Uart(IInterruptLine interrupt, ISerialBackend backend, bool hasRoom) : IResettable, ISerialPort
{
    // Set while Receive takes at least one byte. Changed only under the gate; waited for without it.
    private readonly ManualResetEventSlim _room = new(hasRoom, spinCount: 0);
    private bool _asserted;

    /// <summary>Held over everything that touches a register.</summary>
    private protected Lock Gate { get; } = new();

    /// <summary>What was received and not read yet.</summary>
    private protected ReceiveFifo Fifo { get; } = new();

    /// <summary>A byte can be received from the line. With the gate held.</summary>
    private protected abstract bool HasRoom { get; }

    /// <summary>The interrupt output is active. With the gate held.</summary>
    private protected abstract bool Interrupts { get; }

    /// <summary>Takes what fits of <paramref name="bytes"/> and returns how many that was; none while the receiver is off the line.</summary>
    public int Receive(ReadOnlySpan<byte> bytes)
    {
        lock (Gate)
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
        lock (Gate)
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
        lock (Gate)
        {
            ResetState();
            Update();
        }
    }

    /// <summary>A byte came, for which there is room; or a break. With the gate held.</summary>
    private protected abstract void Accept(byte value, bool isBreak);

    /// <summary>Every register as after power-on. With the gate held, or while nobody else knows the UART.</summary>
    private protected abstract void ResetState();

    /// <summary>Sends a byte. Without the gate.</summary>
    private protected void Send(byte value) => backend.Write(value);

    /// <summary>Brings the interrupt output, and who waits for room, to what the registers say. With the gate held, after each change.</summary>
    private protected void Update()
    {
        bool asserted = Interrupts;
        if (asserted != _asserted)
        {
            _asserted = asserted;
            interrupt.Set(asserted);
        }

        bool room = HasRoom;
        if (room != _room.IsSet)
        {
            if (room)
            {
                _room.Set();
            }
            else
            {
                _room.Reset();
            }
        }
    }
}
