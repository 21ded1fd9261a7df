using System.Runtime.InteropServices;

namespace Aperture.Linux;

/// <summary>What this process may take (getrlimit(2)).</summary>
public static partial class ResourceLimit
{
    // RLIMIT_MEMLOCK of asm-generic/resource.h.
    private const int MemoryLock = 8;

    /// <summary>The most bytes that this process may lock in memory; null for no limit, or where the host does not say.</summary>
    public static ulong? LockedMemory() => Get(MemoryLock, out Limit limit) == 0 && limit.Current != ulong.MaxValue ? limit.Current : null;

    [LibraryImport("libc", EntryPoint = "getrlimit", SetLastError = true)]
    private static partial int Get(int resource, out Limit limit);

    [StructLayout(LayoutKind.Sequential)]
    internal struct Limit
    {
        public ulong Current;
        public ulong Most;
    }
}
