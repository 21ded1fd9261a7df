using System.Runtime.InteropServices;

namespace Aperture.Linux.Vfio;

// Field for field the structures of linux/vfio.h and linux/iommufd.h; the tests compare those that the installed headers have.

/// <summary>struct vfio_group_status.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct VfioGroupStatus
{
    public uint Size;
    public VfioGroupFlags Flags;
}

/// <summary>struct vfio_device_info.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct VfioDeviceInfo
{
    public uint Size;
    public VfioDeviceFlags Flags;
    public uint Regions;
    public uint Irqs;
    public uint CapabilityOffset;
}

/// <summary>struct vfio_region_info.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct VfioRegionInfo
{
    public uint Size;
    public VfioRegionFlags Flags;
    public uint Index;
    public uint CapabilityOffset;
    public ulong Length;
    public ulong Offset;
}

/// <summary>struct vfio_irq_info.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct VfioIrqInfo
{
    public uint Size;
    public VfioIrqFlags Flags;
    public uint Index;
    public uint Count;
}

/// <summary>struct vfio_irq_set without its data.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct VfioIrqSet
{
    public uint Size;
    public VfioIrqAction Flags;
    public uint Index;
    public uint Start;
    public uint Count;
}

/// <summary>struct vfio_iommu_type1_info.</summary>
[StructLayout(LayoutKind.Explicit, Size = 24)]
internal struct VfioIommuInfo
{
    [FieldOffset(0)]
    public uint Size;
    [FieldOffset(4)]
    public uint Flags;
    [FieldOffset(8)]
    public ulong PageSizes;
    [FieldOffset(16)]
    public uint CapabilityOffset;
}

/// <summary>struct vfio_iommu_type1_dma_map.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct VfioDmaMap
{
    public uint Size;
    public VfioDmaFlags Flags;
    public ulong Address;
    public ulong Iova;
    public ulong Length;
}

/// <summary>struct vfio_iommu_type1_dma_unmap. On return <see cref="Length"/> is what was unmapped.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct VfioDmaUnmap
{
    public uint Size;
    public uint Flags;
    public ulong Iova;
    public ulong Length;
}

/// <summary>struct vfio_pci_dependent_device: a function that a hot reset affects.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct VfioDependentDevice
{
    /// <summary>Its IOMMU group; for a device opened through its cdev its device id.</summary>
    public uint Group;

    /// <summary>PCI segment.</summary>
    public ushort Segment;

    /// <summary>Bus.</summary>
    public byte Bus;

    /// <summary>Device in 7:3, function in 2:0.</summary>
    public byte DeviceFunction;
}

/// <summary>struct vfio_device_feature, then struct vfio_device_feature_dma_buf with one struct vfio_region_dma_range (Linux 6.19).</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct VfioDmaBufRequest
{
    public uint Size;
    public uint Flags;
    public uint Region;
    public uint OpenFlags;
    public uint BufferFlags;
    public uint Ranges;
    public ulong Offset;
    public ulong Length;
}

/// <summary>struct vfio_device_bind_iommufd (Linux 6.6). Later fields are optional.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct VfioBindIommufd
{
    public uint Size;
    public uint Flags;
    public int Iommufd;
    public uint DeviceId;
}

/// <summary>struct vfio_device_attach_iommufd_pt (Linux 6.6).</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct VfioAttachIommufd
{
    public uint Size;
    public uint Flags;
    public uint PageTable;
}

/// <summary>struct vfio_device_detach_iommufd_pt (Linux 6.6).</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct VfioDetachIommufd
{
    public uint Size;
    public uint Flags;
}

/// <summary>struct iommu_destroy.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct IommufdDestroy
{
    public uint Size;
    public uint Id;
}

/// <summary>struct iommu_ioas_alloc.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct IommufdIoasAlloc
{
    public uint Size;
    public uint Flags;
    public uint Id;
}

/// <summary>struct iommu_iova_range: both ends inside.</summary>
[StructLayout(LayoutKind.Sequential)]
public readonly record struct IovaRange(ulong Start, ulong Last);

/// <summary>struct iommu_ioas_iova_ranges.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct IommufdIovaRanges
{
    public uint Size;
    public uint Id;
    public uint Count;
    public uint Reserved;
    public ulong Ranges;
    public ulong Alignment;
}

/// <summary>struct iommu_ioas_map.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct IommufdMap
{
    public uint Size;
    public IommufdMapFlags Flags;
    public uint Id;
    public uint Reserved;
    public ulong Address;
    public ulong Length;
    public ulong Iova;
}

/// <summary>struct iommu_ioas_map_file (Linux 6.14).</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct IommufdMapFile
{
    public uint Size;
    public IommufdMapFlags Flags;
    public uint Id;
    public int File;
    public ulong Start;
    public ulong Length;
    public ulong Iova;
}

/// <summary>struct iommu_ioas_unmap. On return <see cref="Length"/> is what was unmapped.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct IommufdUnmap
{
    public uint Size;
    public uint Id;
    public ulong Iova;
    public ulong Length;
}
