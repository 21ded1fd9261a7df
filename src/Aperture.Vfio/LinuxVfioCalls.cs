using Aperture.Linux;
using Aperture.Linux.Iommufd;
using Aperture.Linux.Vfio;

namespace Aperture.Vfio;

/// <summary>The kernel itself.</summary>
internal sealed class LinuxVfioCalls : IVfioCalls
{
    public SafeFileDescriptor Open(string path, out int errno) => FileDescriptors.TryOpen(path, OpenFlags.ReadWrite, out errno);

    public int GetApiVersion(SafeFileDescriptor container) => VfioIoctl.TryGetApiVersion(container);

    public bool Supports(SafeFileDescriptor container, VfioIommuType type) => VfioIoctl.Supports(container, type);

    public int SetIommu(SafeFileDescriptor container, VfioIommuType type) => VfioIoctl.TrySetIommu(container, type);

    public int GetGroupStatus(SafeFileDescriptor group, out VfioGroupFlags flags) => VfioIoctl.TryGetGroupStatus(group, out flags);

    public int SetContainer(SafeFileDescriptor group, SafeFileDescriptor container) => VfioIoctl.TrySetContainer(group, container);

    public int UnsetContainer(SafeFileDescriptor group) => VfioIoctl.TryUnsetContainer(group);

    public int GetDevice(SafeFileDescriptor group, string name, out SafeFileDescriptor device) => VfioIoctl.TryGetDevice(group, name, out device);

    public int GetIommuInfo(SafeFileDescriptor container, out VfioIommuReply reply) => VfioIoctl.TryGetIommuInfo(container, out reply);

    public int MapDma(SafeFileDescriptor container, AddressRange range, HostAddress address, VfioDmaFlags flags) =>
        VfioIoctl.TryMapDma(container, range.Start.Value, range.Size, address, flags);

    public int UnmapDma(SafeFileDescriptor container, AddressRange range, out ulong unmapped) =>
        VfioIoctl.TryUnmapDma(container, range.Start.Value, range.Size, out unmapped);

    public int BindIommufd(SafeFileDescriptor device, SafeFileDescriptor iommufd) => VfioIoctl.TryBindIommufd(device, iommufd, out _);

    public int Attach(SafeFileDescriptor device, uint space) => VfioIoctl.TryAttach(device, space);

    public int Detach(SafeFileDescriptor device) => VfioIoctl.TryDetach(device);

    public int AllocateSpace(SafeFileDescriptor iommufd, out uint space) => IommufdIoctl.TryAllocate(iommufd, out space);

    public int GetRanges(SafeFileDescriptor iommufd, uint space, out IReadOnlyList<IovaRange> ranges, out ulong alignment) =>
        IommufdIoctl.TryGetRanges(iommufd, space, out ranges, out alignment);

    public int Map(SafeFileDescriptor iommufd, uint space, AddressRange range, HostAddress address, IommufdMapFlags flags) =>
        IommufdIoctl.TryMap(iommufd, space, range.Start.Value, range.Size, address, flags);

    public int MapFile(SafeFileDescriptor iommufd, uint space, AddressRange range, SafeFileDescriptor file, IommufdMapFlags flags) =>
        IommufdIoctl.TryMapFile(iommufd, space, range.Start.Value, range.Size, file, 0, flags);

    public int Unmap(SafeFileDescriptor iommufd, uint space, AddressRange range, out ulong unmapped) =>
        IommufdIoctl.TryUnmap(iommufd, space, range.Start.Value, range.Size, out unmapped);

    public int GetDmaBuf(SafeFileDescriptor device, uint region, ulong offset, ulong length, out SafeFileDescriptor buffer) =>
        VfioIoctl.TryGetDmaBuf(device, region, offset, length, out buffer);

    public int GetDeviceInfo(SafeFileDescriptor device, out VfioDeviceFlags flags, out uint regions, out uint irqs) =>
        VfioIoctl.TryGetDeviceInfo(device, out flags, out regions, out irqs);

    public int GetRegionInfo(SafeFileDescriptor device, uint index, out VfioRegionReply reply) => VfioIoctl.TryGetRegionInfo(device, index, out reply);

    public int GetIrqInfo(SafeFileDescriptor device, uint index, out VfioIrqFlags flags, out uint count) =>
        VfioIoctl.TryGetIrqInfo(device, index, out flags, out count);

    public int SetIrqs(SafeFileDescriptor device, VfioIrqAction action, uint index, uint start, uint count, ReadOnlySpan<int> eventFds) =>
        VfioIoctl.TrySetIrqs(device, action, index, start, count, eventFds);

    public int Reset(SafeFileDescriptor device) => VfioIoctl.TryReset(device);

    public int GetHotResetInfo(SafeFileDescriptor device, out IReadOnlyList<VfioDependentDevice> affected) =>
        VfioIoctl.TryGetHotResetInfo(device, out affected);

    public int HotReset(SafeFileDescriptor device, ReadOnlySpan<int> groups) => VfioIoctl.TryHotReset(device, groups);

    public int ReadAt(SafeFileDescriptor device, ulong offset, Span<byte> destination) => FileDescriptors.TryReadAt(device, offset, destination);

    public int WriteAt(SafeFileDescriptor device, ulong offset, ReadOnlySpan<byte> source) => FileDescriptors.TryWriteAt(device, offset, source);
}
