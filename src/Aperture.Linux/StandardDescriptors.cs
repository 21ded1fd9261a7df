using System.Runtime.InteropServices;

namespace Aperture.Linux;

/// <summary>
/// The three descriptors that a process is started with, any of which its starter may have closed (<c>&gt;&amp;-</c>). The number is then given to whatever is
/// opened next, by the runtime or by this program, which must not be taken for an input or output.
/// </summary>
public static partial class StandardDescriptors
{
    // F_GETFD and FD_CLOEXEC of asm-generic/fcntl.h.
    private const int GetFlags = 1;
    private const int CloseOnExec = 1;
    private const int ReadWrite = 2;

    /// <summary>
    /// True when <paramref name="descriptor"/> (0 to 2) is one that this process was started with. One that was opened since closes on exec, as everything that
    /// the runtime and this program open does; an inherited one cannot, or it would not be here.
    /// </summary>
    public static bool IsInherited(int descriptor)
    {
        int flags = Control(descriptor, GetFlags, 0);
        return flags >= 0 && (flags & CloseOnExec) == 0;
    }

    /// <summary>Gives free numbers to <c>/dev/null</c>, so that nothing opened later gets them. Call it before anything is opened; never throws.</summary>
    public static void FillClosed()
    {
        for (int descriptor = 0; descriptor <= 2; descriptor++)
        {
            // The lowest free number is the one given. Not close-on-exec: for children it is as good as inherited.
            if (Control(descriptor, GetFlags, 0) < 0 && OpenFile("/dev/null", ReadWrite, 0) < 0)
            {
                return;
            }
        }
    }

    [LibraryImport("libc", EntryPoint = "fcntl", SetLastError = true)]
    private static partial int Control(int descriptor, int command, int argument);

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int OpenFile(string path, int flags, uint mode);
}
