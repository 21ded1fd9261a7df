using Aperture.Linux;
using Aperture.Linux.Iommufd;
using Aperture.Linux.Vfio;

namespace Aperture.Vfio;

/// <summary>
/// The kernel, as this part uses it: each call answers with its result or with minus the errno. The seam at which tests put a kernel that refuses; the names
/// and meanings are those of <see cref="VfioIoctl"/> and <see cref="IommufdIoctl"/>.
/// </summary>
internal interface IVfioCalls
{
    SafeFileDescriptor Open(string path, out int errno);

    int GetApiVersion(SafeFileDescriptor container);

    bool Supports(SafeFileDescriptor container, VfioIommuType type);

    int SetIommu(SafeFileDescriptor container, VfioIommuType type);

    int GetGroupStatus(SafeFileDescriptor group, out VfioGroupFlags flags);

    int SetContainer(SafeFileDescriptor group, SafeFileDescriptor container);

    int UnsetContainer(SafeFileDescriptor group);

    int GetDevice(SafeFileDescriptor group, string name, out SafeFileDescriptor device);

    int GetIommuInfo(SafeFileDescriptor container, out VfioIommuReply reply);

    int MapDma(SafeFileDescriptor container, AddressRange range, HostAddress address, VfioDmaFlags flags);

    int UnmapDma(SafeFileDescriptor container, AddressRange range, out ulong unmapped);

    int BindIommufd(SafeFileDescriptor device, SafeFileDescriptor iommufd);

    int Attach(SafeFileDescriptor device, uint space);

    int Detach(SafeFileDescriptor device);

    int AllocateSpace(SafeFileDescriptor iommufd, out uint space);

    int GetRanges(SafeFileDescriptor iommufd, uint space, out IReadOnlyList<IovaRange> ranges, out ulong alignment);

    int Map(SafeFileDescriptor iommufd, uint space, AddressRange range, HostAddress address, IommufdMapFlags flags);

    int MapFile(SafeFileDescriptor iommufd, uint space, AddressRange range, SafeFileDescriptor file, IommufdMapFlags flags);

    int Unmap(SafeFileDescriptor iommufd, uint space, AddressRange range, out ulong unmapped);

    int GetDmaBuf(SafeFileDescriptor device, uint region, ulong offset, ulong length, out SafeFileDescriptor buffer);

    int GetDeviceInfo(SafeFileDescriptor device, out VfioDeviceFlags flags, out uint regions, out uint irqs);

    int GetRegionInfo(SafeFileDescriptor device, uint index, out VfioRegionReply reply);

    int GetIrqInfo(SafeFileDescriptor device, uint index, out VfioIrqFlags flags, out uint count);

    int SetIrqs(SafeFileDescriptor device, VfioIrqAction action, uint index, uint start, uint count, ReadOnlySpan<int> eventFds);

    int Reset(SafeFileDescriptor device);

    int GetHotResetInfo(SafeFileDescriptor device, out IReadOnlyList<VfioDependentDevice> affected);

    int HotReset(SafeFileDescriptor device, ReadOnlySpan<int> groups);

    int ReadAt(SafeFileDescriptor device, ulong offset, Span<byte> destination);

    int WriteAt(SafeFileDescriptor device, ulong offset, ReadOnlySpan<byte> source);
}
