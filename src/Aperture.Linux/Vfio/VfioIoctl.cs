using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;

namespace Aperture.Linux.Vfio;

/// <summary>
/// The calls of VFIO, each wrapped once: on a container and a group (here), on a device (VfioIoctl.Device.cs). Nothing throws: a call answers with its
/// result or with minus the errno, because at every one of them a device or the whole IOMMU may be missing.
/// </summary>
public static partial class VfioIoctl
{
    // Replies grow by their capability chains. More than any kernel sends; a kernel that asks for more gets this.
    private const int LargestReply = 1 << 20;

    /// <summary>VFIO_GET_API_VERSION: 0 since 2012.</summary>
    public static int TryGetApiVersion(SafeFileDescriptor container) => Ioctl.Call(container, (uint)VfioRequest.GetApiVersion, 0);

    /// <summary>VFIO_CHECK_EXTENSION.</summary>
    public static bool Supports(SafeFileDescriptor container, VfioIommuType type) =>
        Ioctl.Call(container, (uint)VfioRequest.CheckExtension, (nuint)type) > 0;

    /// <summary>VFIO_SET_IOMMU; the container must hold a group.</summary>
    public static int TrySetIommu(SafeFileDescriptor container, VfioIommuType type) =>
        Ioctl.Call(container, (uint)VfioRequest.SetIommu, (nuint)type);

    /// <summary>VFIO_GROUP_GET_STATUS.</summary>
    public static int TryGetGroupStatus(SafeFileDescriptor group, out VfioGroupFlags flags)
    {
        VfioGroupStatus status = new() { Size = (uint)Unsafe.SizeOf<VfioGroupStatus>() };
        int result = Ioctl.Call(group, (uint)VfioRequest.GroupGetStatus, ref status);
        flags = result < 0 ? VfioGroupFlags.None : status.Flags;
        return result;
    }

    /// <summary>VFIO_GROUP_SET_CONTAINER.</summary>
    public static int TrySetContainer(SafeFileDescriptor group, SafeFileDescriptor container)
    {
        ArgumentNullException.ThrowIfNull(container);
        int number = container.Number;
        int result = Ioctl.Call(group, (uint)VfioRequest.GroupSetContainer, ref number);
        GC.KeepAlive(container);
        return result;
    }

    /// <summary>VFIO_GROUP_UNSET_CONTAINER.</summary>
    public static int TryUnsetContainer(SafeFileDescriptor group) => Ioctl.Call(group, (uint)VfioRequest.GroupUnsetContainer, 0);

    /// <summary>VFIO_GROUP_GET_DEVICE_FD for the device of that name (its BDF with segment). 0 or minus the errno.</summary>
    public static int TryGetDevice(SafeFileDescriptor group, string name, out SafeFileDescriptor device)
    {
        byte[] text = new byte[Encoding.UTF8.GetByteCount(name) + 1];
        Encoding.UTF8.GetBytes(name, text);
        int result = Ioctl.Call(group, (uint)VfioRequest.GroupGetDeviceDescriptor, text);
        device = new SafeFileDescriptor(Math.Max(result, -1));
        return Math.Min(result, 0);
    }

    /// <summary>VFIO_IOMMU_GET_INFO.</summary>
    public static int TryGetIommuInfo(SafeFileDescriptor container, out VfioIommuReply reply)
    {
        int result = Grow(container, (uint)VfioRequest.IommuGetInfo, Unsafe.SizeOf<VfioIommuInfo>(), 0, out byte[] bytes);
        reply = VfioReplies.Iommu(result < 0 ? [] : bytes);
        return result;
    }

    /// <summary>VFIO_IOMMU_MAP_DMA: the devices reach <paramref name="length"/> bytes of this process at <paramref name="iova"/>.</summary>
    public static int TryMapDma(SafeFileDescriptor container, ulong iova, ulong length, HostAddress address, VfioDmaFlags flags)
    {
        VfioDmaMap map = new()
        {
            Size = (uint)Unsafe.SizeOf<VfioDmaMap>(),
            Flags = flags,
            Address = address.Value,
            Iova = iova,
            Length = length,
        };
        return Ioctl.Call(container, (uint)VfioRequest.IommuMapDma, ref map);
    }

    /// <summary>VFIO_IOMMU_UNMAP_DMA; <paramref name="unmapped"/> is how many bytes were.</summary>
    public static int TryUnmapDma(SafeFileDescriptor container, ulong iova, ulong length, out ulong unmapped)
    {
        VfioDmaUnmap unmap = new() { Size = (uint)Unsafe.SizeOf<VfioDmaUnmap>(), Iova = iova, Length = length };
        int result = Ioctl.Call(container, (uint)VfioRequest.IommuUnmapDma, ref unmap);
        unmapped = result < 0 ? 0 : unmap.Length;
        return result;
    }

    // Asks with the structure alone; a kernel with more to say answers with the size it needs, in the first word. index is the third word where there is one.
    private static int Grow(SafeFileDescriptor file, uint request, int size, uint index, out byte[] bytes)
    {
        for (int room = size; ;)
        {
            bytes = new byte[room];
            MemoryMarshal.Write(bytes, (uint)room);
            if (index != 0)
            {
                MemoryMarshal.Write(bytes.AsSpan(8), index);
            }

            int result = Ioctl.Call(file, request, bytes);
            uint wanted = MemoryMarshal.Read<uint>(bytes);
            bool more = (result >= 0 || result == -Errno.ENOSPC) && wanted > (uint)room && room < LargestReply;
            if (!more)
            {
                return result;
            }

            room = (int)Math.Min(wanted, LargestReply);
        }
    }
}
