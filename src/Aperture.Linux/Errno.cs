using System.Globalization;

namespace Aperture.Linux;

/// <summary>Error numbers of Linux on x86-64 (asm-generic/errno-base.h, asm-generic/errno.h) and their names.</summary>
public static class Errno
{
    /// <summary>Operation not permitted.</summary>
    public const int EPERM = 1;

    /// <summary>No such file or directory.</summary>
    public const int ENOENT = 2;

    /// <summary>Interrupted system call.</summary>
    public const int EINTR = 4;

    /// <summary>Input/output error.</summary>
    public const int EIO = 5;

    /// <summary>No such device or address.</summary>
    public const int ENXIO = 6;

    /// <summary>Argument list too long; KVM: the caller's array is too small.</summary>
    public const int E2BIG = 7;

    /// <summary>Bad file number.</summary>
    public const int EBADF = 9;

    /// <summary>Try again.</summary>
    public const int EAGAIN = 11;

    /// <summary>Out of memory.</summary>
    public const int ENOMEM = 12;

    /// <summary>Permission denied.</summary>
    public const int EACCES = 13;

    /// <summary>Bad address.</summary>
    public const int EFAULT = 14;

    /// <summary>Device or resource busy.</summary>
    public const int EBUSY = 16;

    /// <summary>File exists.</summary>
    public const int EEXIST = 17;

    /// <summary>No such device.</summary>
    public const int ENODEV = 19;

    /// <summary>Invalid argument.</summary>
    public const int EINVAL = 22;

    /// <summary>File table overflow.</summary>
    public const int ENFILE = 23;

    /// <summary>Too many open files.</summary>
    public const int EMFILE = 24;

    /// <summary>Not a typewriter: the descriptor does not know the request.</summary>
    public const int ENOTTY = 25;

    /// <summary>No space left on device.</summary>
    public const int ENOSPC = 28;

    /// <summary>Broken pipe: the other end of a connection is gone.</summary>
    public const int EPIPE = 32;

    /// <summary>Function not implemented: nobody knows the command.</summary>
    public const int ENOSYS = 38;

    /// <summary>Protocol error: the other side said what it may not say.</summary>
    public const int EPROTO = 71;

    /// <summary>Message too long; iommufd: the caller's array is too small.</summary>
    public const int EMSGSIZE = 90;

    /// <summary>Address already in use; iommufd: the addresses are reserved or mapped.</summary>
    public const int EADDRINUSE = 98;

    /// <summary>Operation not supported.</summary>
    public const int EOPNOTSUPP = 95;

    /// <summary>Connection reset by the other side.</summary>
    public const int ECONNRESET = 104;

    /// <summary>The other side did not answer in time.</summary>
    public const int ETIMEDOUT = 110;

    /// <summary>Connection refused: nobody listens there.</summary>
    public const int ECONNREFUSED = 111;

    private static readonly string?[] Names =
    [
        null, "EPERM", "ENOENT", "ESRCH", "EINTR", "EIO", "ENXIO", "E2BIG", "ENOEXEC", "EBADF", "ECHILD", "EAGAIN", "ENOMEM", "EACCES", "EFAULT",
        "ENOTBLK", "EBUSY", "EEXIST", "EXDEV", "ENODEV", "ENOTDIR", "EISDIR", "EINVAL", "ENFILE", "EMFILE", "ENOTTY", "ETXTBSY", "EFBIG", "ENOSPC",
        "ESPIPE", "EROFS", "EMLINK", "EPIPE", "EDOM", "ERANGE", "EDEADLK", "ENAMETOOLONG", "ENOLCK", "ENOSYS", "ENOTEMPTY", "ELOOP",
    ];

    /// <summary>The symbolic name of <paramref name="errno"/>, or <c>errno N</c> for one that has none here.</summary>
    public static string Name(int errno) => errno switch
    {
        > 0 when errno < Names.Length => Names[errno]!,
        EPROTO => "EPROTO",
        75 => "EOVERFLOW",
        EMSGSIZE => "EMSGSIZE",
        EOPNOTSUPP => "EOPNOTSUPP",
        EADDRINUSE => "EADDRINUSE",
        ECONNRESET => "ECONNRESET",
        ETIMEDOUT => "ETIMEDOUT",
        ECONNREFUSED => "ECONNREFUSED",
        133 => "EHWPOISON",
        _ => "errno " + errno.ToString(CultureInfo.InvariantCulture),
    };
}
