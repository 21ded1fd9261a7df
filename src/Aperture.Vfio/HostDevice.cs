using System.Globalization;

namespace Aperture.Vfio;

/// <summary>What sysfs says of a device that is to be assigned.</summary>
/// <param name="Name">Its name: <c>0000:01:00.0</c>, or a mediated device's UUID.</param>
/// <param name="Folder">Its folder.</param>
/// <param name="IsPci">A PCI function, which can be given to another driver.</param>
/// <param name="Driver">The driver that it is bound to, or null.</param>
/// <param name="Group">Its IOMMU group, or null.</param>
/// <param name="Cdev">Its VFIO character device (<c>vfio0</c>), or null.</param>
internal sealed record HostDevice(string Name, string Folder, bool IsPci, string? Driver, int? Group, string? Cdev)
{
    /// <summary>Finds a device.</summary>
    /// <exception cref="ApertureException">There is none.</exception>
    internal static HostDevice Find(VfioDeviceAddress address, HostPlaces places)
    {
        string folder = address switch
        {
            { PciName: { } name } => Path.Combine(places.Sys, "bus/pci/devices", name),
            { SysfsPath: { } path } => path.TrimEnd('/'),
            _ => OfDescriptor(address, places),
        };
        if (!Directory.Exists(folder))
        {
            throw VfioFailure.Make(address.PciName is { } name
                ? $"the host has no PCI device {name}; lspci -D lists those it has"
                : $"the host has no device {folder}; give the folder of one below /sys/bus/pci/devices or /sys/bus/mdev/devices");
        }

        // The last component of a link's target, because the path given may itself be a link under another name.
        string own = Path.GetFileName(new DirectoryInfo(folder).LinkTarget ?? folder);
        string? group = LinkName(Path.Combine(folder, "iommu_group"));
        return new HostDevice(
            own,
            folder,
            File.Exists(Path.Combine(folder, "vendor")),
            LinkName(Path.Combine(folder, "driver")),
            int.TryParse(group, NumberStyles.None, CultureInfo.InvariantCulture, out int number) ? number : null,
            CdevOf(Path.Combine(folder, "vfio-dev")));
    }

    /// <summary>Refuses a device that cannot be assigned, with what to do about it.</summary>
    /// <exception cref="ApertureException">Not bound to a VFIO driver, or without an IOMMU.</exception>
    internal void Require()
    {
        if (!IsPci)
        {
            // No IOMMU of the host's is behind it: its driver translates addresses itself. Its group, where the kernel has groups, is its own.
            if (Group is null && Cdev is null)
            {
                throw VfioFailure.Make(
                    $"{Name} has no VFIO device, because no driver of the host's serves it; load the module whose device it is, or make it anew below "
                        + "/sys/class/mdev_bus");
            }

            return;
        }

        // First: vfio-pci refuses a function without a group, so binding would not help.
        if (Group is null)
        {
            throw VfioFailure.Make(
                $"{Name} is in no IOMMU group, because the host has no IOMMU in use; turn VT-d or AMD-Vi on in the firmware setup and start the host's "
                    + "kernel with "
                + "intel_iommu=on (Intel) or amd_iommu=on (AMD)");
        }

        if (Driver?.Contains("vfio", StringComparison.Ordinal) != true)
        {
            string sysfs = $"/sys/bus/pci/devices/{Name}";
            string unbind = Driver is null ? "" : $"echo {Name} > {sysfs}/driver/unbind; ";
            throw VfioFailure.Make(
                $"{Name} is bound to {(Driver is null ? "no driver" : $"the driver {Driver}")}, not to vfio-pci; give it over with: modprobe vfio-pci; "
                + $"echo vfio-pci > {sysfs}/driver_override; {unbind}echo {Name} > /sys/bus/pci/drivers_probe");
        }
    }

    /// <summary>The other members of the device's group that a driver of the host's holds, each as <c>0000:00:1f.0 (lpc_ich)</c>.</summary>
    internal IReadOnlyList<string> Obstacles(HostPlaces places)
    {
        string folder = Path.Combine(places.Sys, "kernel/iommu_groups", (Group ?? -1).ToString(CultureInfo.InvariantCulture), "devices");
        List<string> found = [];
        foreach (string member in Entries(folder))
        {
            string name = Path.GetFileName(member);
            string? driver = LinkName(Path.Combine(places.Sys, "bus/pci/devices", name, "driver"));

            // Bridges and stubs do no DMA of their own; the kernel lets them be.
            bool harmless = driver is null or "pcieport" or "pci-stub" || driver.Contains("vfio", StringComparison.Ordinal);
            if (name != Name && !harmless)
            {
                found.Add($"{name} ({driver})");
            }
        }

        found.Sort(StringComparer.Ordinal);
        return found;
    }

    private static string OfDescriptor(VfioDeviceAddress address, HostPlaces places)
    {
        string? target = new FileInfo(string.Create(CultureInfo.InvariantCulture, $"/proc/self/fd/{address.Descriptor}")).LinkTarget;
        string name = Path.GetFileName(target ?? "");
        string folder = Path.Combine(places.Sys, "class/vfio-dev", name, "device");
        return name.StartsWith("vfio", StringComparison.Ordinal) && Directory.Exists(folder)
            ? Path.Combine(places.Sys, "bus/pci/devices", LinkName(folder) ?? name) is var known && Directory.Exists(known) ? known : folder
            : throw VfioFailure.Make(
                $"{address} is {(target is null ? "not open" : target)}, not a device's character device; pass one of /dev/vfio/devices/vfioN, opened for "
                    + "reading and writing");
    }

    private static string? LinkName(string path) => new FileInfo(path).LinkTarget is { } target ? Path.GetFileName(target) : null;

    // Every VFIO device has a folder there from Linux 6.1 on; only with CONFIG_VFIO_DEVICE_CDEV does it have a node, whose number the file dev holds.
    private static string? CdevOf(string folder) =>
        Entries(folder).FirstOrDefault(static entry => File.Exists(Path.Combine(entry, "dev"))) is { } found ? Path.GetFileName(found) : null;

    // Hot removal takes folders away at any time.
    private static string[] Entries(string folder)
    {
        try
        {
            return Directory.GetFileSystemEntries(folder);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }
}
