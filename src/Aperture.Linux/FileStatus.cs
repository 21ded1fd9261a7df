using System.Runtime.InteropServices;

namespace Aperture.Linux;

/// <summary>What kind of file there is (inode(7)).</summary>
public enum FileKind
{
    /// <summary>Nothing is there, or it may not be looked at.</summary>
    None = 0,

    /// <summary>A named pipe (S_IFIFO).</summary>
    Pipe = 0x1000,

    /// <summary>A folder (S_IFDIR).</summary>
    Folder = 0x4000,

    /// <summary>An ordinary file (S_IFREG).</summary>
    Ordinary = 0x8000,

    /// <summary>A symbolic link (S_IFLNK).</summary>
    Link = 0xA000,
}

/// <summary>What the kernel says of a file, which the runtime does not (statx(2)).</summary>
/// <param name="Kind">Its kind; one that has no name here as its number.</param>
/// <param name="Owner">The id of the user whose it is.</param>
public readonly partial record struct FileStatus(FileKind Kind, uint Owner)
{
    // struct statx (linux/stat.h): 256 bytes, stx_uid at 0x14, stx_mode at 0x1C with the kind in S_IFMT.
    private const int Size = 256;
    private const int OwnerOffset = 0x14;
    private const int ModeOffset = 0x1C;
    private const int KindMask = 0xF000;
    private const int CurrentFolder = -100;
    private const int NoFollow = 0x100;

    // STATX_TYPE and STATX_UID.
    private const uint Wanted = 0x1 | 0x8;

    /// <summary>The user id that this process acts with.</summary>
    public static uint CurrentUser => EffectiveUser();

    /// <summary>Looks at what <paramref name="path"/> leads to, or with <paramref name="follow"/> false at the link itself; never throws.</summary>
    public static unsafe FileStatus Of(string path, bool follow = true)
    {
        byte* status = stackalloc byte[Size];

        // SAFETY: the kernel writes a struct statx, whose size the buffer has; both fields lie inside it at offsets that are multiples of their size.
        return Status(CurrentFolder, path, follow ? 0 : NoFollow, Wanted, status) != 0
            ? default
            : new FileStatus((FileKind)(*(ushort*)(status + ModeOffset) & KindMask), *(uint*)(status + OwnerOffset));
    }

    [LibraryImport("libc", EntryPoint = "statx", StringMarshalling = StringMarshalling.Utf8)]
    private static unsafe partial int Status(int folder, string path, int flags, uint wanted, byte* status);

    [LibraryImport("libc", EntryPoint = "geteuid")]
    private static partial uint EffectiveUser();
}
