using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Aperture.Linux;

/// <summary>
/// The kernel calls behind guest memory: memfd_create(2), ftruncate(2), fcntl(2) seals, mmap(2), munmap(2) and madvise(2).
/// Every wrapper returns 0 or the errno of the one call that it makes; nothing here throws for what the kernel answers.
/// </summary>
public static partial class MemoryMap
{
    private const string C = "libc";

    // linux/memfd.h
    private const uint MfdCloexec = 0x1;
    private const uint MfdAllowSealing = 0x2;
    private const uint MfdHugetlb = 0x4;
    private const int MfdHugeShift = 26;

    // linux/fcntl.h: F_ADD_SEALS and F_GET_SEALS are F_LINUX_SPECIFIC_BASE (1024) + 9 and + 10.
    private const int FAddSeals = 1033;
    private const int FGetSeals = 1034;

    // asm-generic/mman-common.h, asm-generic/mman.h
    private const int ProtNone = 0;
    private const int ProtRead = 0x1;
    private const int ProtWrite = 0x2;
    private const int MapSharedFlag = 0x1;
    private const int MapPrivate = 0x2;
    private const int MapFixed = 0x10;
    private const int MapAnonymous = 0x20;
    private const int MapNoReserve = 0x4000;

    /// <summary>
    /// Creates an anonymous memory file of length 0 that may be sealed. <paramref name="hugePageBits"/> is the base-2 logarithm of the
    /// huge page size (21 for 2 MiB, 30 for 1 GiB), or 0 for ordinary pages.
    /// </summary>
    public static int CreateMemfd(string name, int hugePageBits, out SafeFileHandle file)
    {
        uint flags = MfdCloexec | MfdAllowSealing;
        if (hugePageBits != 0)
        {
            flags |= MfdHugetlb | (uint)hugePageBits << MfdHugeShift;
        }

        int descriptor = memfd_create(name, flags);
        int error = descriptor < 0 ? Marshal.GetLastPInvokeError() : 0;
        file = new SafeFileHandle(descriptor, ownsHandle: true);
        return error;
    }

    /// <summary>Sets the length of <paramref name="file"/> to <paramref name="length"/> bytes; new bytes read as zero and take no memory yet.</summary>
    public static int SetLength(SafeFileHandle file, ulong length) =>
        Check(ftruncate(file, (long)length));

    /// <summary>Adds seals to a memory file: what they forbid can never be allowed again.</summary>
    public static int AddSeals(SafeFileHandle file, MemorySeals seals) =>
        Check(fcntl(file, FAddSeals, (int)seals));

    /// <summary>Reads the seals of a memory file.</summary>
    public static int GetSeals(SafeFileHandle file, out MemorySeals seals)
    {
        int result = fcntl(file, FGetSeals, 0);
        seals = result < 0 ? MemorySeals.None : (MemorySeals)result;
        return Check(result);
    }

    /// <summary>
    /// Maps <paramref name="length"/> bytes of <paramref name="file"/> (a memory file, a vCPU) from its start, shared, readable and writable, where the kernel likes.
    /// Without <paramref name="reserve"/> nothing is accounted before it is touched (MAP_NORESERVE).
    /// </summary>
    public static int MapShared(SafeHandle file, ulong length, bool reserve, out HostAddress address)
    {
        nint result = mmap(0, (nuint)length, ProtRead | ProtWrite, MapSharedFlag | (reserve ? 0 : MapNoReserve), file, 0);
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
    /// Maps <paramref name="length"/> bytes of a device from <paramref name="offset"/> over what is at <paramref name="address"/>, which must be the caller's own
    /// reservation.
    /// </summary>
    public static int MapOver(HostAddress address, SafeHandle device, ulong offset, ulong length, bool readable, bool writable)
    {
        int protection = (readable ? ProtRead : 0) | (writable ? ProtWrite : 0);
        return mmap((nint)address.Value, (nuint)length, protection, MapSharedFlag | MapFixed, device, (long)offset) == -1 ? Marshal.GetLastPInvokeError() : 0;
    }

    /// <summary>Removes a mapping. Whoever still holds a pointer into it holds a dangling one.</summary>
    public static int Unmap(HostAddress address, ulong length) =>
        Check(munmap((nint)address.Value, (nuint)length));

    /// <summary>Gives the kernel advice about a mapping.</summary>
    public static int Advise(HostAddress address, ulong length, MemoryAdvice advice) =>
        Check(madvise((nint)address.Value, (nuint)length, (int)advice));

    /// <summary>What the C library says about <paramref name="errno"/>, with its number.</summary>
    public static string Describe(int errno) => $"{Marshal.GetPInvokeErrorMessage(errno)} (errno {errno})";

    private static int Check(int result) => result < 0 ? Marshal.GetLastPInvokeError() : 0;

    [LibraryImport(C, SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int memfd_create(string name, uint flags);

    [LibraryImport(C, SetLastError = true)]
    private static partial int ftruncate(SafeFileHandle file, long length);

    // fcntl is variadic in C; the Linux ABIs of x86-64 and arm64 pass its third integer as they pass any other.
    [LibraryImport(C, SetLastError = true)]
    private static partial int fcntl(SafeFileHandle file, int command, int argument);

    [LibraryImport(C, SetLastError = true)]
    private static partial nint mmap(nint address, nuint length, int protection, int flags, SafeHandle file, long offset);

    [LibraryImport(C, SetLastError = true)]
    private static partial nint mmap(nint address, nuint length, int protection, int flags, int file, long offset);

    [LibraryImport(C, SetLastError = true)]
    private static partial int munmap(nint address, nuint length);

    [LibraryImport(C, SetLastError = true)]
    private static partial int madvise(nint address, nuint length, int advice);
}
