using System.Net.Sockets;

namespace Aperture.Lab;

/// <summary>Copies bytes between the caller's streams and the machine's ports, at once and unchanged.</summary>
internal static class LabPump
{
    private const int BufferSize = 16384;

    /// <summary>Copies the caller's input to a port; its end of file becomes the port's.</summary>
    public static async Task InputAsync(Stream input, Socket port, CancellationToken cancellation)
    {
        byte[] buffer = new byte[BufferSize];
        try
        {
            int count;
            while ((count = await input.ReadAsync(buffer, cancellation)) > 0)
            {
                for (int sent = 0; sent < count;)
                {
                    sent += await port.SendAsync(buffer.AsMemory(sent, count - sent), cancellation);
                }
            }
            // Half a close: QEMU still delivers what it has not read yet, then reports the end to L1.
            port.Shutdown(SocketShutdown.Send);
        }
        catch (Exception exception) when (exception is IOException or SocketException or ObjectDisposedException or OperationCanceledException)
        {
            // The machine ended or the run is over; whoever waits for it reports that.
        }
    }

    /// <summary>Copies a port to the caller's stream until QEMU closes it.</summary>
    public static async Task OutputAsync(Socket port, Stream output)
    {
        byte[] buffer = new byte[BufferSize];
        bool writable = true;
        try
        {
            int count;
            while ((count = await port.ReceiveAsync(buffer)) > 0)
            {
                // A closed pipe on our side must not stop the command: go on reading, into nothing.
                writable = writable && await TryWriteAsync(output, buffer.AsMemory(0, count));
            }
        }
        catch (Exception exception) when (exception is SocketException or ObjectDisposedException)
        {
            // A killed QEMU resets the connection; what it sent before was read.
        }
    }

    private static async Task<bool> TryWriteAsync(Stream output, ReadOnlyMemory<byte> bytes)
    {
        try
        {
            await output.WriteAsync(bytes);
            await output.FlushAsync();
            return true;
        }
        catch (IOException)
        {
            return false;
        }
    }
}
