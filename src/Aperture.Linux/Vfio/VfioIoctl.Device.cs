using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Aperture.Linux.Vfio;

public static partial class VfioIoctl
{
    // O_RDWR and O_CLOEXEC of asm-generic/fcntl.h.
    private const uint BufferOpenFlags = 0x80002;

    /// <summary>VFIO_DEVICE_GET_INFO: what it can do, how many region and interrupt numbers it has.</summary>
    public static int TryGetDeviceInfo(SafeFileDescriptor device, out VfioDeviceFlags flags, out uint regions, out uint irqs)
    {
        VfioDeviceInfo info = new() { Size = (uint)Unsafe.SizeOf<VfioDeviceInfo>() };
        int result = Ioctl.Call(device, (uint)VfioDeviceRequest.GetInfo, ref info);
        (flags, regions, irqs) = result < 0 ? default : (info.Flags, info.Regions, info.Irqs);
        return result;
    }

    /// <summary>VFIO_DEVICE_GET_REGION_INFO with its capabilities; EINVAL for a region that the device has not.</summary>
    public static int TryGetRegionInfo(SafeFileDescriptor device, uint index, out VfioRegionReply reply)
    {
        int result = Grow(device, (uint)VfioDeviceRequest.GetRegionInfo, Unsafe.SizeOf<VfioRegionInfo>(), index, out byte[] bytes);
        reply = VfioReplies.Region(result < 0 ? [] : bytes);
        return result;
    }

    /// <summary>VFIO_DEVICE_GET_IRQ_INFO; EINVAL for a kind that the device has not.</summary>
    public static int TryGetIrqInfo(SafeFileDescriptor device, uint index, out VfioIrqFlags flags, out uint count)
    {
        VfioIrqInfo info = new() { Size = (uint)Unsafe.SizeOf<VfioIrqInfo>(), Index = index };
        int result = Ioctl.Call(device, (uint)VfioDeviceRequest.GetIrqInfo, ref info);
        (flags, count) = result < 0 ? default : (info.Flags, info.Count);
        return result;
    }

    /// <summary>
    /// VFIO_DEVICE_SET_IRQS for <paramref name="count"/> vectors from <paramref name="start"/> on. <paramref name="eventFds"/> has one descriptor (or -1) per
    /// vector with <see cref="VfioIrqAction.EventFds"/> and is empty otherwise; the caller keeps them alive.
    /// </summary>
    public static int TrySetIrqs(SafeFileDescriptor device, VfioIrqAction action, uint index, uint start, uint count, ReadOnlySpan<int> eventFds)
    {
        int size = Unsafe.SizeOf<VfioIrqSet>() + (eventFds.Length * sizeof(int));
        Span<byte> buffer = size <= 512 ? stackalloc byte[512] : new byte[size];
        buffer = buffer[..size];
        VfioIrqSet set = new() { Size = (uint)size, Flags = action, Index = index, Start = start, Count = count };
        MemoryMarshal.Write(buffer, set);
        MemoryMarshal.AsBytes(eventFds).CopyTo(buffer[Unsafe.SizeOf<VfioIrqSet>()..]);
        return Ioctl.Call(device, (uint)VfioDeviceRequest.SetIrqs, buffer);
    }

    /// <summary>VFIO_DEVICE_RESET.</summary>
    public static int TryReset(SafeFileDescriptor device) => Ioctl.Call(device, (uint)VfioDeviceRequest.Reset, 0);

    /// <summary>VFIO_DEVICE_GET_PCI_HOT_RESET_INFO: the functions that a reset of the device's bus or slot affects, itself among them.</summary>
    public static int TryGetHotResetInfo(SafeFileDescriptor device, out IReadOnlyList<VfioDependentDevice> affected)
    {
        const int Header = 12;
        for (int room = 8; ;)
        {
            byte[] bytes = new byte[Header + (room * Unsafe.SizeOf<VfioDependentDevice>())];
            MemoryMarshal.Write(bytes, (uint)bytes.Length);
            int result = Ioctl.Call(device, (uint)VfioDeviceRequest.GetPciHotResetInfo, bytes);
            uint count = MemoryMarshal.Read<uint>(bytes.AsSpan(8));
            if (result != -Errno.ENOSPC || room >= 0x10000 || count <= room)
            {
                affected = result < 0 ? [] : VfioReplies.HotReset(bytes);
                return result;
            }

            room = (int)Math.Min(count, 0x10000);
        }
    }

    /// <summary>
    /// VFIO_DEVICE_PCI_HOT_RESET, proving with <paramref name="groups"/> that all affected devices are this process's; none for a device opened through its
    /// cdev.
    /// </summary>
    public static int TryHotReset(SafeFileDescriptor device, ReadOnlySpan<int> groups)
    {
        const int Header = 12;
        byte[] bytes = new byte[Header + (groups.Length * sizeof(int))];
        MemoryMarshal.Write(bytes, (uint)bytes.Length);
        MemoryMarshal.Write(bytes.AsSpan(8), (uint)groups.Length);
        MemoryMarshal.AsBytes(groups).CopyTo(bytes.AsSpan(Header));
        return Ioctl.Call(device, (uint)VfioDeviceRequest.PciHotReset, bytes);
    }

    /// <summary>VFIO_DEVICE_FEATURE_DMA_BUF (Linux 6.19): a piece of a region as a buffer that iommufd can map. ENOTTY where the kernel has it not.</summary>
    public static int TryGetDmaBuf(SafeFileDescriptor device, uint region, ulong offset, ulong length, out SafeFileDescriptor buffer)
    {
        VfioDmaBufRequest request = new()
        {
            Size = (uint)Unsafe.SizeOf<VfioDmaBufRequest>(),
            Flags = VfioNumber.FeatureGet | VfioNumber.FeatureDmaBuf,
            Region = region,
            OpenFlags = BufferOpenFlags,
            Ranges = 1,
            Offset = offset,
            Length = length,
        };
        int result = Ioctl.Call(device, (uint)VfioDeviceRequest.Feature, ref request);
        buffer = new SafeFileDescriptor(Math.Max(result, -1));
        return Math.Min(result, 0);
    }

    /// <summary>VFIO_DEVICE_BIND_IOMMUFD (Linux 6.6).</summary>
    public static int TryBindIommufd(SafeFileDescriptor device, SafeFileDescriptor iommufd, out uint deviceId)
    {
        ArgumentNullException.ThrowIfNull(iommufd);
        VfioBindIommufd bind = new() { Size = (uint)Unsafe.SizeOf<VfioBindIommufd>(), Iommufd = iommufd.Number };
        int result = Ioctl.Call(device, (uint)VfioDeviceRequest.BindIommufd, ref bind);
        GC.KeepAlive(iommufd);
        deviceId = result < 0 ? 0 : bind.DeviceId;
        return result;
    }

    /// <summary>VFIO_DEVICE_ATTACH_IOMMUFD_PT (Linux 6.6): the device's DMA goes through that I/O address space.</summary>
    public static int TryAttach(SafeFileDescriptor device, uint addressSpace)
    {
        VfioAttachIommufd attach = new() { Size = (uint)Unsafe.SizeOf<VfioAttachIommufd>(), PageTable = addressSpace };
        return Ioctl.Call(device, (uint)VfioDeviceRequest.AttachIommufdPt, ref attach);
    }

    /// <summary>VFIO_DEVICE_DETACH_IOMMUFD_PT (Linux 6.6).</summary>
    public static int TryDetach(SafeFileDescriptor device)
    {
        VfioDetachIommufd detach = new() { Size = (uint)Unsafe.SizeOf<VfioDetachIommufd>() };
        return Ioctl.Call(device, (uint)VfioDeviceRequest.DetachIommufdPt, ref detach);
    }
}
