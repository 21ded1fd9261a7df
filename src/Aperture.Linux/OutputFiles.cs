namespace Aperture.Linux;

/// <summary>
/// Opens the files that users name for output. One may be a named pipe (fifo(7)): where nobody reads it, opening it would stand still without a word and
/// without an end; here the wait is told, and it ends with <paramref name="cancellation"/>.
/// </summary>
/// <param name="waits">Told one sentence when a file has to be waited for.</param>
/// <param name="cancellation">Ends a wait.</param>
public sealed class OutputFiles(Action<string> waits, CancellationToken cancellation = default)
{
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(50);

    /// <summary>Opens <paramref name="path"/> for writing, made where it is missing and emptied where it is not. What is written goes out at once.</summary>
    /// <param name="path">The file; symbolic links are followed.</param>
    /// <param name="share">What others may do with it meanwhile.</param>
    /// <exception cref="IOException">It cannot be opened.</exception>
    /// <exception cref="UnauthorizedAccessException">It may not be opened.</exception>
    /// <exception cref="OperationCanceledException">The wait for a pipe's reader was cancelled.</exception>
    public FileStream Create(string path, FileShare share)
    {
        using SafeFileDescriptor? writer = WaitForReader(path);

        // While this end for reading is open too, the open that follows cannot stand still, whatever the pipe's reader does meanwhile.
        using SafeFileDescriptor? reader = writer is null ? null : FileDescriptors.TryOpen(path, OpenFlags.ReadWrite | OpenFlags.NonBlocking, out _);
        return new FileStream(path, FileMode.Create, FileAccess.Write, share, bufferSize: 0);
    }

    /// <summary>True when <paramref name="path"/> leads to a named pipe.</summary>
    public static bool IsPipe(string path) => FileStatus.Of(path).Kind == FileKind.Pipe;

    // An end for writing once somebody reads; null for what is no pipe, or cannot be opened, which the runtime then says in its own words.
    private SafeFileDescriptor? WaitForReader(string path)
    {
        bool told = false;
        while (IsPipe(path))
        {
            SafeFileDescriptor writer = FileDescriptors.TryOpen(path, OpenFlags.WriteOnly | OpenFlags.NonBlocking, out int errno);
            if (errno == 0)
            {
                return writer;
            }

            writer.Dispose();
            if (errno != Errno.ENXIO)
            {
                return null;
            }

            if (!told)
            {
                told = true;
                waits($"{path} is a pipe that nobody reads: waiting for a reader.");
            }

            cancellation.ThrowIfCancellationRequested();
            cancellation.WaitHandle.WaitOne(Poll);
        }

        return null;
    }
}
