using Aperture.Assignment;
using Aperture.Linux;

namespace Aperture.Vfio;

/// <summary>Why the kernel did not map memory for devices, as the end of a sentence that says what to do.</summary>
internal static class IommuReason
{
    /// <summary>
    /// The reason behind <paramref name="errno"/>. <paramref name="locked"/> is how many bytes of the guest's memory have to stay in memory in all.
    /// </summary>
    internal static string For(int errno, AddressRange range, IReadOnlyList<AddressRange> ranges, ulong locked, bool isDevice) => errno switch
    {
        Errno.ENOMEM => Memory(locked, ResourceLimit.LockedMemory()),
        Errno.ENOSPC => "the kernel takes no more mappings; raise them with: echo 1000000 > /sys/module/vfio_iommu_type1/parameters/dma_entry_limit",
        Errno.EEXIST or Errno.EADDRINUSE => "something else is still mapped there, because the kernel did not take it back",
        Errno.EFAULT when isDevice =>
            "the kernel cannot map this device memory for other devices; iommufd can from Linux 6.19 on, the container (--vfio container) while the device "
                + "decodes it",
        _ when IovaCheck.WhyNot(range, ranges) is { } reason => reason,
        Errno.EINVAL when isDevice => "the kernel does not map this device's memory for other devices",
        _ => MemoryMap.Describe(errno),
    };

    internal static string Memory(ulong locked, ulong? limit) => limit is { } bytes && bytes < locked
        ? $"{locked} bytes of memory have to be locked and this process may lock {bytes} (RLIMIT_MEMLOCK); raise it with ulimit -l "
            + $"{(locked + (64UL << 20)) / 1024}, or LimitMEMLOCK=infinity in its systemd unit"
        : $"the host has not enough memory left to lock {ByteSize.Format(locked)}; give the guest less";
}
