using System.Runtime.InteropServices;

namespace Aperture.Linux;

/// <summary>
/// A system call failed: a sentence, then the error's symbolic name and the kernel's words for it. Exit code <see cref="ApertureException.HostFailure"/>.
/// </summary>
public sealed class LinuxException : ApertureException
{
    /// <summary>Makes a failure from the sentence that says what was being done (no final stop) and the errno of the call.</summary>
    public LinuxException(string sentence, int errno)
        : base($"{sentence}: {Linux.Errno.Name(errno)} ({Marshal.GetPInvokeErrorMessage(errno)})", HostFailure) => Errno = errno;

    /// <summary>The error number, as errno.h numbers it (see <see cref="Linux.Errno"/>).</summary>
    public int Errno { get; }
}
