using Aperture.Linux;

namespace Aperture.Vfio;

/// <summary>The sentences of failures that several steps share.</summary>
internal static class VfioFailure
{
    internal static ApertureException Make(string sentence) => new(sentence, ApertureException.HostFailure);

    /// <summary>An open that failed; <paramref name="missing"/> is what to say when the file is not there.</summary>
    internal static ApertureException Open(string path, int errno, string device, string missing) => Make(errno switch
    {
        Errno.ENOENT or Errno.ENODEV or Errno.ENXIO => missing,
        Errno.EACCES or Errno.EPERM =>
            $"{path} may not be opened by this user, so {device} cannot be assigned; allow it with: chown $USER {path}, or run as root",
        Errno.EBUSY => InUse(device, path),
        Errno.EMFILE or Errno.ENFILE => $"{path} cannot be opened for {device}, because too many files are open; raise the limit with ulimit -n",
        _ => $"{path} cannot be opened for {device}: {MemoryMap.Describe(errno)}",
    });

    internal static string InUse(string device, string path) => $"{device} is in use by another process; end the one that fuser -v {path} shows";

    /// <summary>A group in which drivers of the host's hold other members.</summary>
    internal static ApertureException NotViable(HostDevice device, IReadOnlyList<string> obstacles) => Make(
        obstacles.Count == 0
            ? $"{device.Name} cannot be assigned, because another device of its IOMMU group {device.Group} is bound to a driver of the host; give all of "
                + $"/sys/kernel/iommu_groups/{device.Group}/devices to vfio-pci"
            : $"{device.Name} cannot be assigned while drivers of the host hold other devices of its IOMMU group {device.Group}: "
                + $"{string.Join(", ", obstacles)}; give these to vfio-pci too");
}
