using System.Runtime.InteropServices;

namespace Aperture.Linux;

/// <summary>An open file descriptor that this process owns; closed once, when disposed or finalised. Descriptor 0 is a valid one.</summary>
public sealed class SafeFileDescriptor : SafeHandle
{
    /// <summary>Makes an invalid handle, for marshalling.</summary>
    public SafeFileDescriptor()
        : base(-1, ownsHandle: true)
    {
    }

    /// <summary>Takes over <paramref name="descriptor"/>; with <paramref name="ownsDescriptor"/> false it is borrowed and never closed here.</summary>
    public SafeFileDescriptor(int descriptor, bool ownsDescriptor = true)
        : base(-1, ownsDescriptor) => SetHandle(descriptor);

    /// <inheritdoc/>
    public override bool IsInvalid => (int)handle < 0;

    /// <summary>The number, for structures that carry descriptors to the kernel. Valid only while this handle is kept alive.</summary>
    public int Number => (int)handle;

    /// <inheritdoc/>
    protected override bool ReleaseHandle() => FileDescriptors.Close((int)handle) == 0;
}
