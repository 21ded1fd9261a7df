using System.Runtime.InteropServices;

namespace Aperture.Linux;

/// <summary>The pages that a vCPU shares with this process (struct kvm_run and what follows), mapped from its descriptor; unmapped when disposed.</summary>
public sealed partial class KvmRunPage : SafeHandle
{
    // PROT_READ | PROT_WRITE and MAP_SHARED of asm-generic/mman-common.h and linux/mman.h.
    private const int ReadWrite = 3;
    private const int Shared = 1;

    private readonly int _size;

    /// <summary>Maps <paramref name="size"/> bytes (<see cref="KvmIoctl.GetVcpuMmapSize"/>) of <paramref name="vcpu"/>.</summary>
    /// <exception cref="LinuxException">The mapping failed.</exception>
    public KvmRunPage(SafeFileDescriptor vcpu, int size)
        : base(-1, ownsHandle: true)
    {
        nint address = Map(0, (nuint)size, ReadWrite, Shared, vcpu, 0);
        if (address == -1)
        {
            throw new LinuxException("cannot map a vCPU's shared page", Marshal.GetLastPInvokeError());
        }

        _size = size;
        SetHandle(address);
    }

    /// <inheritdoc/>
    public override bool IsInvalid => handle == -1;

    /// <summary>The mapping's length in bytes.</summary>
    public int Size => _size;

    /// <summary>The mapping's first byte; valid while this handle is not disposed.</summary>
    public HostAddress Start => new((ulong)handle);

    /// <inheritdoc/>
    protected override bool ReleaseHandle() => Unmap(handle, (nuint)_size) == 0;

    [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
    private static partial nint Map(nint address, nuint length, int protection, int flags, SafeFileDescriptor file, nint offset);

    [LibraryImport("libc", EntryPoint = "munmap")]
    private static partial int Unmap(nint address, nuint length);
}
