using System.Runtime.InteropServices;

namespace Aperture.Linux;

/// <summary>An event counter in the kernel (eventfd(2)): signalled from anywhere, by KVM too; reading takes the count and sets it to 0. Thread-safe.</summary>
public sealed partial class EventFd : IDisposable
{
    private const int CloseOnExec = 0x80000;
    private const int NonBlock = 0x800;

    /// <summary>Makes a counter at 0 that never blocks its readers.</summary>
    /// <exception cref="LinuxException">The kernel has no descriptor or memory left.</exception>
    public EventFd()
    {
        int descriptor = Create(0, CloseOnExec | NonBlock);
        int errno = descriptor < 0 ? Marshal.GetLastPInvokeError() : 0;
        Descriptor = errno == 0 ? new SafeFileDescriptor(descriptor) : throw new LinuxException("cannot make an eventfd", errno);
    }

    private EventFd(SafeFileDescriptor descriptor) => Descriptor = descriptor;

    /// <summary>The descriptor, to hand to the kernel or to <see cref="Poll"/>.</summary>
    public SafeFileDescriptor Descriptor { get; }

    /// <summary>
    /// Takes over a counter that another process passed, and makes that it never blocks; null, and nothing taken over, when it is anything else, which could
    /// hold its writers up.
    /// </summary>
    public static EventFd? TryAdopt(SafeFileDescriptor descriptor)
    {
        ArgumentNullException.ThrowIfNull(descriptor);
        bool isCounter = !descriptor.IsInvalid && new FileInfo($"/proc/self/fd/{descriptor.Number}").LinkTarget == "anon_inode:[eventfd]";
        return isCounter && MemoryFile.NeverBlocks(descriptor) == 0 ? new EventFd(descriptor) : null;
    }

    /// <summary>Adds 1 to the counter. Allocates nothing; a counter at its limit stays signalled.</summary>
    public void Signal()
    {
        Span<byte> one = stackalloc byte[8];
        MemoryMarshal.Write(one, 1UL);
        _ = FileDescriptors.TryWrite(Descriptor, one);
    }

    /// <summary>Takes the count and sets it to 0; false when it was 0 already. Allocates nothing.</summary>
    public bool TryTake(out ulong count)
    {
        Span<byte> bytes = stackalloc byte[8];
        bool taken = FileDescriptors.TryRead(Descriptor, bytes) == 8;
        count = taken ? MemoryMarshal.Read<ulong>(bytes) : 0;
        return taken;
    }

    /// <inheritdoc/>
    public void Dispose() => Descriptor.Dispose();

    [LibraryImport("libc", EntryPoint = "eventfd", SetLastError = true)]
    private static partial int Create(uint initialValue, int flags);
}
