using System.Runtime.InteropServices;

namespace Aperture.Linux;

/// <summary>
/// The kernel calls behind guest memory: mmap(2), munmap(2) and madvise(2).
/// Every wrapper returns 0 or the errno of the one call that it makes; nothing here throws for what the kernel answers.
/// </summary>
public static partial class MemoryMap
{
    private const string C = "libc";

    // asm-generic/mman-common.h, asm-generic/mman.h
    private const int ProtNone = 0;
    private const int ProtRead = 0x1;
    private const int ProtWrite = 0x2;
    private const int MapSharedFlag = 0x1;
    private const int MapPrivate = 0x2;
    private const int MapFixed = 0x10;
    private const int MapAnonymous = 0x20;
    private const int MapNoReserve = 0x4000;
    private const int MapHugeTlb = 0x40000;
    private const int MapHugeShift = 26;

    // linux/mman.h
    internal const int MremapMayMove = 1;
    internal const int MremapFixed = 2;
    internal const int MremapDontUnmap = 4;

    /// <summary>
    /// Takes <paramref name="length"/> zero bytes that are this process's own, where the kernel likes. <paramref name="hugePageBits"/> is the base-2 logarithm
    /// of the size of the reserved huge pages to take them from at once (21 for 2 MiB, 30 for 1 GiB), or 0 for ordinary pages, taken when they are touched.
    /// </summary>
    public static int MapPrivateMemory(ulong length, int hugePageBits, out HostAddress address)
    {
        int pages = hugePageBits == 0 ? MapNoReserve : MapHugeTlb | hugePageBits << MapHugeShift;
        nint result = mmap(0, (nuint)length, ProtRead | ProtWrite, MapPrivate | MapAnonymous | pages, -1, 0);
        bool failed = result == -1;
        address = failed ? default : new HostAddress((ulong)result);
        return failed ? Marshal.GetLastPInvokeError() : 0;
    }

    /// <summary>
    /// Maps <paramref name="length"/> bytes of <paramref name="file"/> (a vCPU) from its start, shared, readable and writable, where the kernel likes.
    /// </summary>
    public static int MapShared(SafeHandle file, ulong length, out HostAddress address)
    {
        nint result = mmap(0, (nuint)length, ProtRead | ProtWrite, MapSharedFlag, file, 0);
        bool failed = result == -1;
        address = failed ? default : new HostAddress((ulong)result);
        return failed ? Marshal.GetLastPInvokeError() : 0;
    }

    /// <summary>
    /// Maps <paramref name="length"/> bytes of <paramref name="file"/> from <paramref name="offset"/>, a multiple of its pages, shared with whoever maps them
    /// too, readable and if asked for writable, where the kernel likes.
    /// </summary>
    public static int MapShared(SafeHandle file, ulong offset, ulong length, bool writable, out HostAddress address)
    {
        nint result = mmap(0, (nuint)length, ProtRead | (writable ? ProtWrite : 0), MapSharedFlag, file, (long)offset);
        bool failed = result == -1;
        address = failed ? default : new HostAddress((ulong)result);
        return failed ? Marshal.GetLastPInvokeError() : 0;
    }

    /// <summary>
    /// Maps a file's bytes so that they can be written without the file ever getting that: who writes a page has a copy of it from then on. 0, or an errno.
    /// </summary>
    public static int MapCopyOnWrite(SafeHandle file, ulong offset, ulong length, out HostAddress address)
    {
        nint result = mmap(0, (nuint)length, ProtRead | ProtWrite, MapPrivate | MapNoReserve, file, (long)offset);
        bool failed = result == -1;
        address = failed ? default : new HostAddress((ulong)result);
        return failed ? Marshal.GetLastPInvokeError() : 0;
    }

    /// <summary>Takes <paramref name="length"/> bytes of address space in which nothing may be touched, where the kernel likes: room to map into.</summary>
    public static int Reserve(ulong length, out HostAddress address)
    {
        nint result = mmap(0, (nuint)length, ProtNone, MapPrivate | MapAnonymous | MapNoReserve, -1, 0);
        bool failed = result == -1;
        address = failed ? default : new HostAddress((ulong)result);
        return failed ? Marshal.GetLastPInvokeError() : 0;
    }

    /// <summary>
    /// Maps <paramref name="length"/> bytes of a device from <paramref name="offset"/> over what is at <paramref name="address"/>, which must be the caller's
    /// own reservation.
    /// </summary>
    public static int MapOver(HostAddress address, SafeHandle device, ulong offset, ulong length, bool readable, bool writable)
    {
        int protection = (readable ? ProtRead : 0) | (writable ? ProtWrite : 0);
        return mmap((nint)address.Value, (nuint)length, protection, MapSharedFlag | MapFixed, device, (long)offset) == -1 ? Marshal.GetLastPInvokeError() : 0;
    }

    /// <summary>
    /// Puts memory of this process's own, all ones, over what is mapped at <paramref name="address"/>, which the caller must own; whole pages. Whoever touches
    /// the range meanwhile finds the one or the other.
    /// </summary>
    public static unsafe int ReplaceByOnes(HostAddress address, ulong length)
    {
        int errno = MapPrivateMemory(length, 0, out HostAddress ones);
        if (errno != 0)
        {
            return errno;
        }

        // SAFETY: the memory is this function's, length bytes long and writable.
        System.Runtime.CompilerServices.Unsafe.InitBlockUnaligned((void*)ones.Value, 0xFF, checked((uint)length));
        errno = Move(ones, length, address);
        if (errno != 0)
        {
            _ = Unmap(ones, length);
        }

        return errno;
    }

    /// <summary>
    /// Moves what is mapped at <paramref name="address"/>, which the caller must own, over what is mapped at <paramref name="to"/>, likewise. Whoever touches
    /// the range meanwhile finds the one or the other.
    /// </summary>
    public static int Move(HostAddress address, ulong length, HostAddress to) =>
        mremap((nint)address.Value, (nuint)length, (nuint)length, MremapMayMove | MremapFixed, (nint)to.Value) != -1 ? 0 : Marshal.GetLastPInvokeError();

    /// <summary>
    /// The same for private memory of no file, which stays mapped where it was too, without its content (MREMAP_DONTUNMAP, since Linux 5.7). A range that is
    /// registered with a userfaultfd is so in both places afterwards; the call waits until the move was read from it.
    /// </summary>
    public static int MoveAndKeep(HostAddress address, ulong length, HostAddress to)
    {
        const int How = MremapMayMove | MremapFixed | MremapDontUnmap;
        return mremap((nint)address.Value, (nuint)length, (nuint)length, How, (nint)to.Value) != -1 ? 0 : Marshal.GetLastPInvokeError();
    }

    /// <summary>Lets nobody touch the range any more: who does gets a fault.</summary>
    public static int Close(HostAddress address, ulong length) => Check(mprotect((nint)address.Value, (nuint)length, ProtNone));

    /// <summary>Removes a mapping. Whoever still holds a pointer into it holds a dangling one.</summary>
    public static int Unmap(HostAddress address, ulong length) =>
        Check(munmap((nint)address.Value, (nuint)length));

    /// <summary>Gives the kernel advice about a mapping.</summary>
    public static int Advise(HostAddress address, ulong length, MemoryAdvice advice) =>
        Check(madvise((nint)address.Value, (nuint)length, (int)advice));

    /// <summary>What the C library says about <paramref name="errno"/>, with its number.</summary>
    public static string Describe(int errno) => $"{Marshal.GetPInvokeErrorMessage(errno)} (errno {errno})";

    private static int Check(int result) => result < 0 ? Marshal.GetLastPInvokeError() : 0;

    [LibraryImport(C, SetLastError = true)]
    private static partial nint mmap(nint address, nuint length, int protection, int flags, SafeHandle file, long offset);

    [LibraryImport(C, SetLastError = true)]
    private static partial nint mmap(nint address, nuint length, int protection, int flags, int file, long offset);

    [LibraryImport(C, SetLastError = true)]
    private static partial nint mremap(nint address, nuint length, nuint newLength, int flags, nint newAddress);

    [LibraryImport(C, SetLastError = true)]
    private static partial int mprotect(nint address, nuint length, int protection);

    [LibraryImport(C, SetLastError = true)]
    private static partial int munmap(nint address, nuint length);

    [LibraryImport(C, SetLastError = true)]
    private static partial int madvise(nint address, nuint length, int advice);
}
