namespace Aperture.Devices.Serial;

/// <summary>A serial port as the host's side of its line sees it.</summary>
public interface ISerialPort
{
    /// <summary>Receives all of <paramref name="bytes"/>, waiting for room as often as it takes; what a reader thread calls.</summary>
    /// <exception cref="OperationCanceledException"><paramref name="cancellation"/> was cancelled.</exception>
    void Feed(ReadOnlySpan<byte> bytes, CancellationToken cancellation);

    /// <summary>A break condition on the line (a zero byte marked as break): true when it was taken, false when nothing fits.</summary>
    bool ReceiveBreak();
}
