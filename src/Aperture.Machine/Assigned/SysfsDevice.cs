using Aperture.Configuration.Kinds;

namespace Aperture.Machine.Assigned;

/// <summary>Finds out which function a path or an inherited descriptor means.</summary>
internal static class SysfsDevice
{
    /// <summary>The address of the device that <paramref name="device"/> names.</summary>
    /// <exception cref="ApertureException">It names no PCI function.</exception>
    public static PciAddress AddressOf(HostDeviceName device)
    {
        if (device.Function is { } function)
        {
            return function;
        }

        string? folder = device.SysfsPath is { } path ? Resolved(path.TrimEnd('/')) : FolderOf(device.Descriptor!.Value);
        return folder is not null && PciAddress.TryParse(Path.GetFileName(folder), out PciAddress address)
            ? address
            : throw new ApertureException(device.SysfsPath is not null
                ? $"--device vfio,{device} does not name a PCI function; write a path such as /sys/bus/pci/devices/0000:01:00.0."
                : $"--device vfio,{device}: descriptor {device.Descriptor} is not an opened /dev/vfio/devices/vfioN of a PCI function.");
    }

    /// <summary>A path through a link too, such as /sys/class/nvme/nvme0/device; a path that is not there keeps its own last name.</summary>
    private static string? Resolved(string path)
    {
        try
        {
            return new DirectoryInfo(path).ResolveLinkTarget(returnFinalTarget: true)?.FullName ?? path;
        }
        catch (IOException)
        {
            return path;
        }
    }

    /// <summary>The device's folder behind an opened /dev/vfio/devices/vfioN (vfio-dev class: the parent of the character device is the function).</summary>
    private static string? FolderOf(int descriptor)
    {
        try
        {
            string? node = new FileInfo($"/proc/self/fd/{descriptor}").LinkTarget;
            string? name = node is null ? null : Path.GetFileName(node);
            return name is null || !name.StartsWith("vfio", StringComparison.Ordinal)
                ? null
                : new DirectoryInfo($"/sys/class/vfio-dev/{name}/device").ResolveLinkTarget(returnFinalTarget: true)?.FullName;
        }
        catch (IOException)
        {
            return null;
        }
    }
}
