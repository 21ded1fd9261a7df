using System.Runtime.InteropServices;

namespace Aperture.Linux;

/// <summary>
/// Copies between this process's buffers and memory of its own that may not be there, such as a mapping of a file that another process can cut
/// (process_vm_readv(2) on itself): the kernel copies, and answers with <see cref="Errno.EFAULT"/> where an instruction would raise SIGBUS.
/// </summary>
public static unsafe partial class GuardedCopy
{
    /// <summary>Copies from <paramref name="source"/>. 0, or an errno; then any part of the destination may have been written.</summary>
    public static int TryRead(HostAddress source, Span<byte> destination)
    {
        // SAFETY: the destination is pinned for the call and its length bounds both sides; the source is only read by the kernel, which answers when it cannot.
        fixed (byte* start = destination)
        {
            Vector local = new((nint)start, (nuint)destination.Length);
            Vector remote = new((nint)source.Value, (nuint)destination.Length);
            nint copied = process_vm_readv(Environment.ProcessId, &local, 1, &remote, 1, 0);
            return Result(copied, destination.Length);
        }
    }

    /// <summary>Copies to <paramref name="destination"/>, which must be memory that nothing of this program lives in. 0, or an errno.</summary>
    public static int TryWrite(HostAddress destination, ReadOnlySpan<byte> source)
    {
        // SAFETY: the source is pinned for the call and its length bounds both sides; the caller vouches for where the kernel writes.
        fixed (byte* start = source)
        {
            Vector local = new((nint)start, (nuint)source.Length);
            Vector remote = new((nint)destination.Value, (nuint)source.Length);
            nint copied = process_vm_writev(Environment.ProcessId, &local, 1, &remote, 1, 0);
            return Result(copied, source.Length);
        }
    }

    // What could be copied before the first page that is not there is not told apart: it is a failure either way.
    private static int Result(nint copied, int length) => copied < 0 ? Marshal.GetLastPInvokeError() : copied == length ? 0 : Errno.EFAULT;

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint process_vm_readv(int process, Vector* local, nuint locals, Vector* remote, nuint remotes, nuint flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint process_vm_writev(int process, Vector* local, nuint locals, Vector* remote, nuint remotes, nuint flags);

    [StructLayout(LayoutKind.Sequential)]
    private readonly record struct Vector(nint Start, nuint Length);
}
