using Aperture.Configuration.Kinds;

namespace Aperture.Machine.Assigned;

/// <summary>A device of the host: exactly one member is given.</summary>
/// <param name="Function">A PCI function.</param>
/// <param name="Mediated">A mediated device.</param>
internal readonly record struct NamedDevice(PciAddress? Function, MediatedDevice? Mediated);

/// <summary>Finds out which device a path or an inherited descriptor means.</summary>
internal static class SysfsDevice
{
    /// <summary>The device that <paramref name="device"/> names.</summary>
    /// <exception cref="ApertureException">It names neither a PCI function nor a mediated device.</exception>
    public static NamedDevice Find(HostDeviceName device)
    {
        if (device.Function is { } function)
        {
            return new NamedDevice(function, null);
        }

        string? folder = device.SysfsPath is { } path ? Resolved(path.TrimEnd('/')) : FolderOf(device.Descriptor!.Value);
        if (folder is not null && PciAddress.TryParse(Path.GetFileName(folder), out PciAddress address))
        {
            return new NamedDevice(address, null);
        }

        if (folder is not null && IsMediated(folder))
        {
            // The kernel ties a descriptor to the first address space that it is put into, which would be the one that reads the BARs.
            return device.SysfsPath is not null
                ? new NamedDevice(null, new MediatedDevice(Path.GetFileName(folder), folder))
                : throw new ApertureException(
                    $"--device vfio,{device}: descriptor {device.Descriptor} is of the mediated device {Path.GetFileName(folder)}, which has to be opened "
                        + $"twice; write sysfs=/sys/bus/mdev/devices/{Path.GetFileName(folder)}.");
        }

        throw new ApertureException(device.SysfsPath switch
        {
            null => $"--device vfio,{device}: descriptor {device.Descriptor} is not an opened /dev/vfio/devices/vfioN of a PCI function.",
            { } missing when Guid.TryParse(Path.GetFileName(missing.TrimEnd('/')), out Guid uuid) =>
                $"--device vfio,{device}: the host has no mediated device {uuid}; make it with: echo {uuid} > "
                    + "/sys/class/mdev_bus/PARENT/mdev_supported_types/TYPE/create.",
            _ => $"--device vfio,{device} does not name a PCI function; write a path such as /sys/bus/pci/devices/0000:01:00.0.",
        });
    }

    private static bool IsMediated(string folder) => Path.GetFileName(new FileInfo(Path.Join(folder, "subsystem")).LinkTarget) == "mdev";

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
