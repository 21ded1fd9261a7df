namespace Aperture;

/// <summary>Which of the kernel's two ways to assigned devices is used.</summary>
public enum VfioPath
{
    /// <summary>iommufd where the kernel and every device have it, else the container.</summary>
    Auto,

    /// <summary>/dev/vfio/vfio and IOMMU groups, mappings of type 1 version 2. Every kernel with VFIO.</summary>
    Container,

    /// <summary>/dev/iommu and one character device per device. Linux 6.6 and later.</summary>
    Iommufd,
}
