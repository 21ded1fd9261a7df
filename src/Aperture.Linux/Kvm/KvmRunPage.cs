using System.Runtime.InteropServices;

namespace Aperture.Linux.Kvm;

/// <summary>The pages that a vCPU shares with this process (struct kvm_run and what follows), mapped from its descriptor; unmapped when disposed.</summary>
public sealed class KvmRunPage : SafeHandle
{
    private readonly int _size;

    /// <summary>Maps <paramref name="size"/> bytes (<see cref="KvmIoctl.GetVcpuMmapSize"/>) of <paramref name="vcpu"/>.</summary>
    /// <exception cref="LinuxException">The mapping failed.</exception>
    public KvmRunPage(SafeFileDescriptor vcpu, int size)
        : base(-1, ownsHandle: true)
    {
        int errno = MemoryMap.MapShared(vcpu, (ulong)size, out HostAddress address);
        if (errno != 0)
        {
            throw new LinuxException("cannot map a vCPU's shared page", errno);
        }

        _size = size;
        SetHandle((nint)address.Value);
    }

    /// <inheritdoc/>
    public override bool IsInvalid => handle == -1;

    /// <summary>The mapping's length in bytes.</summary>
    public int Size => _size;

    /// <summary>The mapping's first byte; valid while this handle is not disposed.</summary>
    public HostAddress Start => new((ulong)handle);

    /// <inheritdoc/>
    protected override bool ReleaseHandle() => MemoryMap.Unmap(Start, (ulong)_size) == 0;
}
