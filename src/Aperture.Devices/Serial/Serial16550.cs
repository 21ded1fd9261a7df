namespace Aperture.Devices;

/// <summary>A 16550A UART at eight ports.</summary>
/// <param name="interrupt">The UART's interrupt output: COM1 is IRQ 4.</param>
/// <param name="backend">Where transmitted bytes go.</param>
public sealed class Serial16550(IInterruptLine interrupt, ISerialBackend backend) : IAccessHandler, IResettable
{
    /// <summary>The first port of COM1.</summary>
    public const ushort Com1 = 0x3F8;

    /// <summary>Ports taken.</summary>
    public const ushort Length = 8;

    /// <inheritdoc/>
    public AccessResult Read(ulong offset, int size, out ulong value)
    {
        value = ulong.MaxValue;
        return AccessResult.Unclaimed;
    }

    /// <inheritdoc/>
    public AccessResult Write(ulong offset, int size, ulong value)
    {
        backend.Write((byte)value);
        return AccessResult.Unclaimed;
    }

    /// <summary>Takes what fits of <paramref name="bytes"/>.</summary>
    public int Receive(ReadOnlySpan<byte> bytes) => 0;

    /// <summary>Waits until <see cref="Receive"/> takes at least one byte.</summary>
    public void WaitForRoom(CancellationToken cancellation) => cancellation.ThrowIfCancellationRequested();

    /// <summary>Receives all of <paramref name="bytes"/>, waiting for room as often as it takes.</summary>
    public void Feed(ReadOnlySpan<byte> bytes, CancellationToken cancellation) => cancellation.ThrowIfCancellationRequested();

    /// <summary>A break condition on the line.</summary>
    public bool ReceiveBreak() => false;

    /// <inheritdoc/>
    public void Reset() => interrupt.Set(false);
}
