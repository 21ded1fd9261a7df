using System.Runtime.InteropServices;

namespace Aperture.Linux;

/// <summary>ioctl(2) as the wrappers of one interface each use it. Every call answers with its result, or with minus the errno; EINTR is repeated.</summary>
internal static unsafe partial class Ioctl
{
    internal static int Call(SafeFileDescriptor file, uint request, nuint argument)
    {
        while (true)
        {
            int result = Number(file, request, argument);
            int answer = result >= 0 ? result : -Marshal.GetLastPInvokeError();
            if (answer != -Errno.EINTR)
            {
                return answer;
            }
        }
    }

    internal static int Call<T>(SafeFileDescriptor file, uint request, ref T argument)
        where T : unmanaged
    {
        // SAFETY: pinned for the call; callers pass the structure of the request, with its size where the structure carries one.
        fixed (T* pointer = &argument)
        {
            return Call(file, request, (nuint)pointer);
        }
    }

    internal static int Call(SafeFileDescriptor file, uint request, ReadOnlySpan<byte> argument)
    {
        // SAFETY: pinned for the call; callers write the buffer's length into the structure at its start, which bounds what the kernel touches.
        fixed (byte* pointer = argument)
        {
            return Call(file, request, (nuint)pointer);
        }
    }

    [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    private static partial int Number(SafeFileDescriptor file, nuint request, nuint argument);
}
