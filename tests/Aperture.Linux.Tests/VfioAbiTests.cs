using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Aperture.Linux.Vfio;

namespace Aperture.Linux.Tests;

public class VfioAbiTests
{
    // Our structure, the kernel's, and our fields with the kernel's names for them. Those of iommufd and of the newer calls of a device are in no header before
    // Linux 6.2 and 6.6: they are compared where the installed headers have them.
    private static readonly (Type Ours, string Theirs, string[] Fields)[] Structures =
    [
        (typeof(VfioGroupStatus), "struct vfio_group_status", ["Size=argsz", "Flags=flags"]),
        (typeof(VfioDeviceInfo), "struct vfio_device_info", [
            "Size=argsz", "Flags=flags", "Regions=num_regions", "Irqs=num_irqs", "CapabilityOffset=cap_offset"]),
        (typeof(VfioRegionInfo), "struct vfio_region_info",
            ["Size=argsz", "Flags=flags", "Index=index", "CapabilityOffset=cap_offset", "Length=size", "Offset=offset"]),
        (typeof(VfioSparseArea), "struct vfio_region_sparse_mmap_area", []),
        (typeof(VfioIrqInfo), "struct vfio_irq_info", ["Size=argsz", "Flags=flags", "Index=index", "Count=count"]),
        (typeof(VfioIrqSet), "struct vfio_irq_set", ["Size=argsz", "Flags=flags", "Index=index", "Start=start", "Count=count"]),
        (typeof(VfioIommuInfo), "struct vfio_iommu_type1_info", ["Size=argsz", "Flags=flags", "PageSizes=iova_pgsizes", "CapabilityOffset=cap_offset"]),
        (typeof(IovaRange), "struct vfio_iova_range", []),
        (typeof(VfioDmaMap), "struct vfio_iommu_type1_dma_map", ["Size=argsz", "Flags=flags", "Address=vaddr", "Iova=iova", "Length=size"]),
        (typeof(VfioDmaUnmap), "struct vfio_iommu_type1_dma_unmap", ["Size=argsz", "Flags=flags", "Iova=iova", "Length=size"]),
        (typeof(VfioDependentDevice), "struct vfio_pci_dependent_device", ["Group=group_id", "Segment=segment", "Bus=bus", "DeviceFunction=devfn"]),
    ];

    private static readonly (Type Ours, string Theirs, string[] Fields)[] IommufdStructures =
    [
        (typeof(IommufdDestroy), "struct iommu_destroy", ["Size=size", "Id=id"]),
        (typeof(IommufdIoasAlloc), "struct iommu_ioas_alloc", ["Size=size", "Flags=flags", "Id=out_ioas_id"]),
        (typeof(IommufdIovaRanges), "struct iommu_ioas_iova_ranges",
            ["Size=size", "Id=ioas_id", "Count=num_iovas", "Reserved=__reserved", "Ranges=allowed_iovas", "Alignment=out_iova_alignment"]),
        (typeof(IommufdMap), "struct iommu_ioas_map",
            ["Size=size", "Flags=flags", "Id=ioas_id", "Reserved=__reserved", "Address=user_va", "Length=length", "Iova=iova"]),
        (typeof(IommufdUnmap), "struct iommu_ioas_unmap", ["Size=size", "Id=ioas_id", "Iova=iova", "Length=length"]),
    ];

    private static readonly (Type Ours, string Theirs, string[] Fields)[] CdevStructures =
    [
        (typeof(VfioBindIommufd), "struct vfio_device_bind_iommufd", ["Size=argsz", "Flags=flags", "Iommufd=iommufd", "DeviceId=out_devid"]),
        (typeof(VfioAttachIommufd), "struct vfio_device_attach_iommufd_pt", ["Size=argsz", "Flags=flags", "PageTable=pt_id"]),
        (typeof(VfioDetachIommufd), "struct vfio_device_detach_iommufd_pt", ["Size=argsz", "Flags=flags"]),
    ];

    private static readonly (string Name, long Ours)[] Numbers =
    [
        ("VFIO_GET_API_VERSION", (long)VfioRequest.GetApiVersion), ("VFIO_CHECK_EXTENSION", (long)VfioRequest.CheckExtension),
        ("VFIO_SET_IOMMU", (long)VfioRequest.SetIommu), ("VFIO_GROUP_GET_STATUS", (long)VfioRequest.GroupGetStatus),
        ("VFIO_GROUP_SET_CONTAINER", (long)VfioRequest.GroupSetContainer), ("VFIO_GROUP_UNSET_CONTAINER", (long)VfioRequest.GroupUnsetContainer),
        ("VFIO_GROUP_GET_DEVICE_FD", (long)VfioRequest.GroupGetDeviceDescriptor), ("VFIO_IOMMU_GET_INFO", (long)VfioRequest.IommuGetInfo),
        ("VFIO_IOMMU_MAP_DMA", (long)VfioRequest.IommuMapDma), ("VFIO_IOMMU_UNMAP_DMA", (long)VfioRequest.IommuUnmapDma),
        ("VFIO_DEVICE_GET_INFO", (long)VfioDeviceRequest.GetInfo), ("VFIO_DEVICE_GET_REGION_INFO", (long)VfioDeviceRequest.GetRegionInfo),
        ("VFIO_DEVICE_GET_IRQ_INFO", (long)VfioDeviceRequest.GetIrqInfo), ("VFIO_DEVICE_SET_IRQS", (long)VfioDeviceRequest.SetIrqs),
        ("VFIO_DEVICE_RESET", (long)VfioDeviceRequest.Reset), ("VFIO_DEVICE_GET_PCI_HOT_RESET_INFO", (long)VfioDeviceRequest.GetPciHotResetInfo),
        ("VFIO_DEVICE_PCI_HOT_RESET", (long)VfioDeviceRequest.PciHotReset), ("VFIO_DEVICE_FEATURE", (long)VfioDeviceRequest.Feature),
        ("VFIO_TYPE1_IOMMU", (long)VfioIommuType.Type1), ("VFIO_TYPE1v2_IOMMU", (long)VfioIommuType.Type1v2),
        ("VFIO_NOIOMMU_IOMMU", (long)VfioIommuType.NoIommu),
        ("VFIO_GROUP_FLAGS_VIABLE", (long)VfioGroupFlags.Viable), ("VFIO_GROUP_FLAGS_CONTAINER_SET", (long)VfioGroupFlags.ContainerSet),
        ("VFIO_DEVICE_FLAGS_RESET", (long)VfioDeviceFlags.Reset), ("VFIO_DEVICE_FLAGS_PCI", (long)VfioDeviceFlags.Pci),
        ("VFIO_DEVICE_FLAGS_CAPS", (long)VfioDeviceFlags.Capabilities),
        ("VFIO_REGION_INFO_FLAG_READ", (long)VfioRegionFlags.Read), ("VFIO_REGION_INFO_FLAG_WRITE", (long)VfioRegionFlags.Write),
        ("VFIO_REGION_INFO_FLAG_MMAP", (long)VfioRegionFlags.Map), ("VFIO_REGION_INFO_FLAG_CAPS", (long)VfioRegionFlags.Capabilities),
        ("VFIO_IRQ_INFO_EVENTFD", (long)VfioIrqFlags.EventFd), ("VFIO_IRQ_INFO_MASKABLE", (long)VfioIrqFlags.Maskable),
        ("VFIO_IRQ_INFO_AUTOMASKED", (long)VfioIrqFlags.AutoMasked), ("VFIO_IRQ_INFO_NORESIZE", (long)VfioIrqFlags.NoResize),
        ("VFIO_IRQ_SET_DATA_NONE", (long)VfioIrqAction.NoData), ("VFIO_IRQ_SET_DATA_EVENTFD", (long)VfioIrqAction.EventFds),
        ("VFIO_IRQ_SET_ACTION_MASK", (long)VfioIrqAction.Mask), ("VFIO_IRQ_SET_ACTION_UNMASK", (long)VfioIrqAction.Unmask),
        ("VFIO_IRQ_SET_ACTION_TRIGGER", (long)VfioIrqAction.Trigger),
        ("VFIO_DMA_MAP_FLAG_READ", (long)VfioDmaFlags.Read), ("VFIO_DMA_MAP_FLAG_WRITE", (long)VfioDmaFlags.Write),
        ("VFIO_API_VERSION", VfioNumber.ApiVersion), ("VFIO_REGION_INFO_CAP_SPARSE_MMAP", VfioNumber.RegionSparseMap),
        ("VFIO_REGION_INFO_CAP_MSIX_MAPPABLE", VfioNumber.RegionMsixMappable), ("VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE", VfioNumber.IommuIovaRange),
        ("VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL", VfioNumber.IommuDmaAvailable), ("VFIO_IOMMU_INFO_PGSIZES", VfioNumber.IommuHasPageSizes),
        ("VFIO_IOMMU_INFO_CAPS", VfioNumber.IommuHasCapabilities), ("VFIO_DEVICE_FEATURE_GET", VfioNumber.FeatureGet),

        // Where the readers of the replies look.
        ("offsetof(struct vfio_region_info_cap_sparse_mmap, nr_areas)", 8), ("offsetof(struct vfio_region_info_cap_sparse_mmap, areas)", 16),
        ("sizeof(struct vfio_region_sparse_mmap_area)", 16), ("offsetof(struct vfio_info_cap_header, next)", 4), ("sizeof(struct vfio_info_cap_header)", 8),
        ("offsetof(struct vfio_iommu_type1_info_cap_iova_range, nr_iovas)", 8), ("offsetof(struct vfio_iommu_type1_info_cap_iova_range, iova_ranges)", 16),
        ("offsetof(struct vfio_iommu_type1_info_dma_avail, avail)", 8), ("offsetof(struct vfio_irq_set, data)", 20),
        ("offsetof(struct vfio_pci_hot_reset_info, count)", 8), ("offsetof(struct vfio_pci_hot_reset_info, devices)", 12),
        ("offsetof(struct vfio_pci_hot_reset, count)", 8), ("offsetof(struct vfio_pci_hot_reset, group_fds)", 12),
        ("offsetof(struct vfio_device_feature, data)", 8),
        ("RLIMIT_MEMLOCK", 8),
    ];

    private static readonly (string Name, long Ours)[] CdevNumbers =
    [
        ("VFIO_DEVICE_BIND_IOMMUFD", (long)VfioDeviceRequest.BindIommufd), ("VFIO_DEVICE_ATTACH_IOMMUFD_PT", (long)VfioDeviceRequest.AttachIommufdPt),
        ("VFIO_DEVICE_DETACH_IOMMUFD_PT", (long)VfioDeviceRequest.DetachIommufdPt),
    ];

    private static readonly (string Name, long Ours)[] IommufdNumbers =
    [
        ("IOMMU_DESTROY", (long)IommufdRequest.Destroy), ("IOMMU_IOAS_ALLOC", (long)IommufdRequest.IoasAlloc),
        ("IOMMU_IOAS_IOVA_RANGES", (long)IommufdRequest.IoasIovaRanges), ("IOMMU_IOAS_MAP", (long)IommufdRequest.IoasMap),
        ("IOMMU_IOAS_UNMAP", (long)IommufdRequest.IoasUnmap), ("IOMMU_IOAS_MAP_FIXED_IOVA", (long)IommufdMapFlags.FixedAddress),
        ("IOMMU_IOAS_MAP_WRITEABLE", (long)IommufdMapFlags.Writable), ("IOMMU_IOAS_MAP_READABLE", (long)IommufdMapFlags.Readable),
    ];

    [Fact]
    public void Vfio_structures_and_numbers_are_those_of_the_kernels_headers()
    {
        Assert.SkipUnless(CProbe.HasCompiler, "needs gcc and the kernel's headers (packages gcc and linux-libc-dev)");
        AssertAll([.. Numbers, .. Structures.SelectMany(Expressions)]);
    }

    [Fact]
    public void The_calls_of_character_devices_are_those_of_the_kernels_headers()
    {
        Assert.SkipUnless(CProbe.HasCompiler && Has("/usr/include/linux/vfio.h", "VFIO_DEVICE_BIND_IOMMUFD"),
            "the installed kernel headers are older than Linux 6.6");
        AssertAll([.. CdevNumbers, .. CdevStructures.SelectMany(Expressions)]);
    }

    [Fact]
    public void Iommufds_structures_and_numbers_are_those_of_the_kernels_headers()
    {
        Assert.SkipUnless(CProbe.HasCompiler && File.Exists("/usr/include/linux/iommufd.h"), "the installed kernel headers are older than Linux 6.2");
        AssertAll([.. IommufdNumbers, .. IommufdStructures.SelectMany(Expressions)], "linux/iommufd.h");
    }

    // _IO(';', n): what a header that the build machine lacks would say.
    [Fact]
    public void Numbers_that_old_headers_lack_follow_the_kernels_rule()
    {
        Assert.Equal([0x3B00L + 100 + 18, 0x3B00 + 100 + 19, 0x3B00 + 100 + 20], CdevNumbers.Select(number => number.Ours));
        Assert.Equal([0x3B80L, 0x3B81, 0x3B84, 0x3B85, 0x3B86], IommufdNumbers.Take(5).Select(number => number.Ours));
        Assert.Equal(0x3B8FL, (long)IommufdRequest.IoasMapFile);
    }

    [Fact]
    public void Structures_that_old_headers_lack_have_the_documented_sizes()
    {
        Assert.Equal(16, Unsafe.SizeOf<VfioBindIommufd>());
        Assert.Equal(12, Unsafe.SizeOf<VfioAttachIommufd>());
        Assert.Equal(8, Unsafe.SizeOf<VfioDetachIommufd>());
        Assert.Equal(40, Unsafe.SizeOf<VfioDmaBufRequest>());
        Assert.Equal(12, Unsafe.SizeOf<IommufdIoasAlloc>());
        Assert.Equal(32, Unsafe.SizeOf<IommufdIovaRanges>());
        Assert.Equal(40, Unsafe.SizeOf<IommufdMap>());
        Assert.Equal(40, Unsafe.SizeOf<IommufdMapFile>());
        Assert.Equal(24, Unsafe.SizeOf<IommufdUnmap>());
    }

    private static IEnumerable<(string Expression, long Ours)> Expressions((Type Ours, string Theirs, string[] Fields) structure)
    {
        yield return ($"sizeof({structure.Theirs})", SizeOf(structure.Ours));
        foreach (string field in structure.Fields)
        {
            string[] names = field.Split('=');
            yield return ($"offsetof({structure.Theirs}, {names[1]})", Marshal.OffsetOf(structure.Ours, names[0]));
            FieldInfo own = structure.Ours.GetField(names[0], BindingFlags.Instance | BindingFlags.Public)!;
            yield return ($"MEMBER_SIZE({structure.Theirs}, {names[1]})", SizeOf(own.FieldType));
        }
    }

    private static bool Has(string header, string name) => File.Exists(header) && File.ReadAllText(header).Contains(name, StringComparison.Ordinal);

    private static void AssertAll(IReadOnlyCollection<(string Expression, long Ours)> asked, params string[] headers)
    {
        IReadOnlyDictionary<string, ulong> theirs = CProbe.Evaluate(asked.Select(entry => entry.Expression), headers);
        Assert.Empty(asked.Where(entry => theirs[entry.Expression] != (ulong)entry.Ours)
            .Select(entry => $"{entry.Expression} is {theirs[entry.Expression]}, not {entry.Ours}"));
    }

    private static long SizeOf(Type type) =>
        type.IsEnum
            ? Marshal.SizeOf(Enum.GetUnderlyingType(type))
            : (int)typeof(Unsafe).GetMethod(nameof(Unsafe.SizeOf))!.MakeGenericMethod(type).Invoke(null, null)!;
}
