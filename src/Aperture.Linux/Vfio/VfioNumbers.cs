namespace Aperture.Linux.Vfio;

/// <summary>
/// The ioctl numbers of a VFIO container and of a group (linux/vfio.h): type 0x3B (';') in 15:8, numbers from 100; VFIO encodes neither size nor direction.
/// </summary>
internal enum VfioRequest : uint
{
    GetApiVersion = 0x3B64,
    CheckExtension = 0x3B65,
    SetIommu = 0x3B66,
    GroupGetStatus = 0x3B67,
    GroupSetContainer = 0x3B68,
    GroupUnsetContainer = 0x3B69,
    GroupGetDeviceDescriptor = 0x3B6A,
    IommuGetInfo = 0x3B70,
    IommuMapDma = 0x3B71,
    IommuUnmapDma = 0x3B72,
}

/// <summary>The ioctl numbers of a VFIO device (linux/vfio.h). The last three came with Linux 6.6 and are in no older header.</summary>
internal enum VfioDeviceRequest : uint
{
    GetInfo = 0x3B6B,
    GetRegionInfo = 0x3B6C,
    GetIrqInfo = 0x3B6D,
    SetIrqs = 0x3B6E,
    Reset = 0x3B6F,
    GetPciHotResetInfo = 0x3B70,
    PciHotReset = 0x3B71,
    Feature = 0x3B75,
    BindIommufd = 0x3B76,
    AttachIommufdPt = 0x3B77,
    DetachIommufdPt = 0x3B78,
}

/// <summary>The ioctl numbers of /dev/iommu (linux/iommufd.h, Linux 6.2; IOAS_MAP_FILE Linux 6.14).</summary>
internal enum IommufdRequest : uint
{
    Destroy = 0x3B80,
    IoasAlloc = 0x3B81,
    IoasIovaRanges = 0x3B84,
    IoasMap = 0x3B85,
    IoasUnmap = 0x3B86,
    IoasMapFile = 0x3B8F,
}

/// <summary>What VFIO_CHECK_EXTENSION asks for and VFIO_SET_IOMMU sets (linux/vfio.h).</summary>
public enum VfioIommuType
{
    /// <summary>VFIO_TYPE1_IOMMU.</summary>
    Type1 = 1,

    /// <summary>VFIO_TYPE1v2_IOMMU: a mapping is taken back exactly as it was made.</summary>
    Type1v2 = 3,

    /// <summary>VFIO_NOIOMMU_IOMMU: no protection; never used here, only recognised.</summary>
    NoIommu = 8,
}

/// <summary>VFIO_GROUP_FLAGS_* (linux/vfio.h).</summary>
[Flags]
public enum VfioGroupFlags : uint
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>No member has a driver of the host's.</summary>
    Viable = 1,

    /// <summary>The group is in a container.</summary>
    ContainerSet = 2,
}

/// <summary>VFIO_DEVICE_FLAGS_* (linux/vfio.h).</summary>
[Flags]
public enum VfioDeviceFlags : uint
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>VFIO_DEVICE_RESET is supported.</summary>
    Reset = 1,

    /// <summary>The regions and interrupts are those of a PCI function.</summary>
    Pci = 2,

    /// <summary>Capabilities follow.</summary>
    Capabilities = 0x80,
}

/// <summary>VFIO_REGION_INFO_FLAG_* (linux/vfio.h).</summary>
[Flags]
public enum VfioRegionFlags : uint
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>May be read.</summary>
    Read = 1,

    /// <summary>May be written.</summary>
    Write = 2,

    /// <summary>May be mapped.</summary>
    Map = 4,

    /// <summary>Capabilities follow.</summary>
    Capabilities = 8,
}

/// <summary>VFIO_IRQ_INFO_* (linux/vfio.h).</summary>
[Flags]
public enum VfioIrqFlags : uint
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>Eventfds can be tied to it.</summary>
    EventFd = 1,

    /// <summary>The host can mask it.</summary>
    Maskable = 2,

    /// <summary>It masks itself when it fires.</summary>
    AutoMasked = 4,

    /// <summary>More vectors need all to be disabled first.</summary>
    NoResize = 8,
}

/// <summary>VFIO_IRQ_SET_* (linux/vfio.h): what the data of VFIO_DEVICE_SET_IRQS are and what to do with them.</summary>
[Flags]
public enum VfioIrqAction : uint
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>No data.</summary>
    NoData = 1,

    /// <summary>The data are eventfds.</summary>
    EventFds = 4,

    /// <summary>Mask.</summary>
    Mask = 8,

    /// <summary>Unmask.</summary>
    Unmask = 0x10,

    /// <summary>Trigger.</summary>
    Trigger = 0x20,
}

/// <summary>VFIO_DMA_MAP_FLAG_* (linux/vfio.h): what the devices may do.</summary>
[Flags]
public enum VfioDmaFlags : uint
{
    /// <summary>Nothing.</summary>
    None = 0,

    /// <summary>Read.</summary>
    Read = 1,

    /// <summary>Write.</summary>
    Write = 2,
}

/// <summary>IOMMU_IOAS_MAP_* (linux/iommufd.h).</summary>
[Flags]
public enum IommufdMapFlags : uint
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>At the address given rather than where the kernel likes.</summary>
    FixedAddress = 1,

    /// <summary>The devices may write.</summary>
    Writable = 2,

    /// <summary>The devices may read.</summary>
    Readable = 4,
}

/// <summary>Capability ids in the replies of VFIO (linux/vfio.h), and the numbers of VFIO_DEVICE_FEATURE.</summary>
internal static class VfioNumber
{
    internal const int ApiVersion = 0;
    internal const ushort RegionSparseMap = 1;
    internal const ushort RegionMsixMappable = 3;
    internal const ushort IommuIovaRange = 1;
    internal const ushort IommuDmaAvailable = 3;
    internal const uint IommuHasPageSizes = 1;
    internal const uint IommuHasCapabilities = 2;
    internal const uint FeatureGet = 1 << 16;

    /// <summary>VFIO_DEVICE_FEATURE_DMA_BUF: Linux 6.19.</summary>
    internal const uint FeatureDmaBuf = 11;
}
