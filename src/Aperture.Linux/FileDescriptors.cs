using System.Runtime.InteropServices;

namespace Aperture.Linux;

/// <summary>How a file is opened (asm-generic/fcntl.h). Close-on-exec is always added.</summary>
[Flags]
public enum OpenFlags
{
    /// <summary>Reading only.</summary>
    ReadOnly = 0,

    /// <summary>Writing only.</summary>
    WriteOnly = 1,

    /// <summary>Reading and writing.</summary>
    ReadWrite = 2,

    /// <summary>Never block (O_NONBLOCK).</summary>
    NonBlocking = 0x800,
}

/// <summary>open, read, write and close (open(2), read(2), pread(2), write(2), pwrite(2), close(2)).</summary>
public static partial class FileDescriptors
{
    private const int CloseOnExec = 0x80000;

    /// <summary>Opens <paramref name="path"/>; never throws. The errno is 0 when the handle is valid. Interrupted calls are repeated.</summary>
    public static SafeFileDescriptor TryOpen(string path, OpenFlags flags, out int errno)
    {
        while (true)
        {
            int descriptor = OpenFile(path, (int)flags | CloseOnExec, 0);
            errno = descriptor < 0 ? Marshal.GetLastPInvokeError() : 0;
            if (errno != Errno.EINTR)
            {
                return new SafeFileDescriptor(descriptor);
            }
        }
    }

    /// <summary>Opens <paramref name="path"/>.</summary>
    /// <exception cref="LinuxException">The open failed.</exception>
    public static SafeFileDescriptor Open(string path, OpenFlags flags)
    {
        SafeFileDescriptor file = TryOpen(path, flags, out int errno);
        return errno == 0 ? file : throw new LinuxException($"cannot open {path}", errno);
    }

    /// <summary>Reads up to the buffer's length; 0 at the end of the file. Interrupted calls are repeated.</summary>
    /// <returns>The bytes read, or minus the errno (<see cref="Errno.EAGAIN"/>: nothing there yet on a non-blocking descriptor).</returns>
    public static unsafe int TryRead(SafeFileDescriptor file, Span<byte> buffer)
    {
        // SAFETY: the span is pinned for the call and its own length is the bound.
        fixed (byte* start = buffer)
        {
            while (true)
            {
                nint count = ReadFile(file, start, (nuint)buffer.Length);
                int errno = count < 0 ? Marshal.GetLastPInvokeError() : 0;
                if (errno != Errno.EINTR)
                {
                    return count < 0 ? -errno : (int)count;
                }
            }
        }
    }

    /// <summary>Writes up to the buffer's length. Interrupted calls are repeated.</summary>
    /// <returns>The bytes written, or minus the errno.</returns>
    public static unsafe int TryWrite(SafeFileDescriptor file, ReadOnlySpan<byte> buffer)
    {
        // SAFETY: the span is pinned for the call and its own length is the bound.
        fixed (byte* start = buffer)
        {
            while (true)
            {
                nint count = WriteFile(file, start, (nuint)buffer.Length);
                int errno = count < 0 ? Marshal.GetLastPInvokeError() : 0;
                if (errno != Errno.EINTR)
                {
                    return count < 0 ? -errno : (int)count;
                }
            }
        }
    }

    /// <summary>As <see cref="TryRead"/>, from <paramref name="offset"/> (pread(2)).</summary>
    public static unsafe int TryReadAt(SafeFileDescriptor file, ulong offset, Span<byte> buffer)
    {
        // SAFETY: the span is pinned for the call and its own length is the bound.
        fixed (byte* start = buffer)
        {
            while (true)
            {
                nint count = ReadFileAt(file, start, (nuint)buffer.Length, (long)offset);
                int errno = count < 0 ? Marshal.GetLastPInvokeError() : 0;
                if (errno != Errno.EINTR)
                {
                    return count < 0 ? -errno : (int)count;
                }
            }
        }
    }

    /// <summary>As <see cref="TryWrite"/>, to <paramref name="offset"/> (pwrite(2)).</summary>
    public static unsafe int TryWriteAt(SafeFileDescriptor file, ulong offset, ReadOnlySpan<byte> buffer)
    {
        // SAFETY: the span is pinned for the call and its own length is the bound.
        fixed (byte* start = buffer)
        {
            while (true)
            {
                nint count = WriteFileAt(file, start, (nuint)buffer.Length, (long)offset);
                int errno = count < 0 ? Marshal.GetLastPInvokeError() : 0;
                if (errno != Errno.EINTR)
                {
                    return count < 0 ? -errno : (int)count;
                }
            }
        }
    }

    /// <summary>Closes a raw number; only <see cref="SafeFileDescriptor"/> calls it. Linux releases the number whatever it returns.</summary>
    internal static int Close(int descriptor) => CloseFile(descriptor);

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int OpenFile(string path, int flags, uint mode);

    [LibraryImport("libc", EntryPoint = "read", SetLastError = true)]
    private static unsafe partial nint ReadFile(SafeFileDescriptor file, byte* buffer, nuint count);

    [LibraryImport("libc", EntryPoint = "write", SetLastError = true)]
    private static unsafe partial nint WriteFile(SafeFileDescriptor file, byte* buffer, nuint count);

    [LibraryImport("libc", EntryPoint = "pread", SetLastError = true)]
    private static unsafe partial nint ReadFileAt(SafeFileDescriptor file, byte* buffer, nuint count, long offset);

    [LibraryImport("libc", EntryPoint = "pwrite", SetLastError = true)]
    private static unsafe partial nint WriteFileAt(SafeFileDescriptor file, byte* buffer, nuint count, long offset);

    [LibraryImport("libc", EntryPoint = "close")]
    private static partial int CloseFile(int descriptor);
}
