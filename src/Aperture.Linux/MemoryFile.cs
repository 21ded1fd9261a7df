using System.Runtime.InteropServices;

namespace Aperture.Linux;

/// <summary>
/// Files that are memory and can be given to other processes (memfd_create(2)), and what a file that came from another process is (statx(2), fcntl(2)).
/// </summary>
public static partial class MemoryFile
{
    // linux/memfd.h, linux/fcntl.h, asm-generic/fcntl.h, bits/stat.h
    internal const uint CloseOnExec = 1;
    internal const uint AllowSealing = 2;
    internal const uint HugeTlb = 4;
    internal const int HugeShift = 26;
    internal const int AddSeals = 1033;
    internal const int GetSeals = 1034;
    internal const int SealSeal = 1;
    internal const int SealShrink = 2;
    internal const int SealGrow = 4;
    internal const int GetFlags = 3;
    internal const int SetFlags = 4;
    internal const int NonBlock = 0x800;
    internal const int EmptyPath = 0x1000;
    internal const uint StatxType = 1;
    internal const uint StatxSize = 0x200;
    internal const int StatxLength = 256;
    internal const int TypeMask = 0xF000;
    internal const int RegularFile = 0x8000;

    /// <summary>
    /// Makes a file of <paramref name="length"/> zero bytes whose length never changes again. <paramref name="hugePageBits"/> is the base-2 logarithm of the
    /// size of its huge pages, or 0 for ordinary ones. 0, or an errno.
    /// </summary>
    public static int TryMake(string name, ulong length, int hugePageBits, out SafeFileDescriptor file)
    {
        int descriptor = memfd_create(name, CloseOnExec | AllowSealing | (hugePageBits == 0 ? 0 : HugeTlb | (uint)hugePageBits << HugeShift));
        int errno = descriptor < 0 ? Marshal.GetLastPInvokeError() : 0;
        file = new SafeFileDescriptor(descriptor);
        if (errno == 0 && (ftruncate(file, (long)length) < 0 || Control(file, AddSeals, SealSeal | SealShrink | SealGrow) < 0))
        {
            errno = Marshal.GetLastPInvokeError();
            file.Dispose();
        }

        return errno;
    }

    /// <summary>How many bytes a regular file has, as files of memory are. 0, or an errno: EINVAL for what is no regular file.</summary>
    public static int TryLength(SafeFileDescriptor file, out ulong length)
    {
        // struct statx (linux/stat.h): the mode and the size.
        const int Mode = 28;
        const int Size = 40;
        Span<byte> state = stackalloc byte[StatxLength];
        int errno = statx(file, "", EmptyPath, StatxType | StatxSize, state) < 0 ? Marshal.GetLastPInvokeError() : 0;
        bool isRegular = errno == 0 && (MemoryMarshal.Read<ushort>(state[Mode..]) & TypeMask) == RegularFile;
        length = isRegular ? MemoryMarshal.Read<ulong>(state[Size..]) : 0;
        return errno != 0 ? errno : isRegular ? 0 : Errno.EINVAL;
    }

    /// <summary>True when nobody can take bytes away from the file's end any more: mapped memory of it then never raises SIGBUS.</summary>
    public static bool NeverShrinks(SafeFileDescriptor file) => Control(file, GetSeals, 0) is > 0 and { } seals && (seals & SealShrink) != 0;

    /// <summary>Writing to the file never waits from now on, whoever has it open (O_NONBLOCK). 0, or an errno.</summary>
    public static int NeverBlocks(SafeFileDescriptor file)
    {
        int flags = Control(file, GetFlags, 0);
        return flags >= 0 && Control(file, SetFlags, flags | NonBlock) >= 0 ? 0 : Marshal.GetLastPInvokeError();
    }

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int memfd_create(string name, uint flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int ftruncate(SafeFileDescriptor file, long length);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int statx(SafeFileDescriptor file, string path, int flags, uint mask, Span<byte> state);

    [LibraryImport("libc", EntryPoint = "fcntl", SetLastError = true)]
    private static partial int Control(SafeFileDescriptor file, int command, nint argument);
}
