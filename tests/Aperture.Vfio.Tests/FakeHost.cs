using System.Globalization;

namespace Aperture.Vfio.Tests;

/// <summary>A host's sysfs and device nodes in a temporary folder.</summary>
internal sealed class FakeHost : IDisposable
{
    private readonly TemporaryFolder _root = new();

    public FakeHost()
    {
        Directory.CreateDirectory(InSys("bus/pci/devices"));
        Directory.CreateDirectory(InDev("vfio"));
        Touch(InDev("vfio/vfio"));
    }

    public HostPlaces Places => new(InSys(""), InDev(""));

    /// <summary>Adds a PCI device as the kernel shows one.</summary>
    /// <param name="name">Its address.</param>
    /// <param name="driver">Its driver.</param>
    /// <param name="group">Its IOMMU group.</param>
    /// <param name="cdev">Its VFIO device, which has a character device with <paramref name="hasNode"/>.</param>
    /// <param name="hasNode">The kernel has iommufd.</param>
    public void Add(string name, string? driver = "vfio-pci", int? group = 1, string? cdev = null, bool hasNode = true)
    {
        string real = InSys($"devices/pci0000:00/{name}");
        Directory.CreateDirectory(real);
        Touch(Path.Combine(real, "vendor"));
        File.CreateSymbolicLink(InSys($"bus/pci/devices/{name}"), $"../../../devices/pci0000:00/{name}");
        if (driver is not null)
        {
            Directory.CreateDirectory(InSys($"bus/pci/drivers/{driver}"));
            File.CreateSymbolicLink(Path.Combine(real, "driver"), $"../../../bus/pci/drivers/{driver}");
        }

        if (group is { } number)
        {
            string members = InSys(string.Create(CultureInfo.InvariantCulture, $"kernel/iommu_groups/{number}/devices"));
            Directory.CreateDirectory(members);
            File.CreateSymbolicLink(Path.Combine(real, "iommu_group"), $"../../../kernel/iommu_groups/{number}");
            File.CreateSymbolicLink(Path.Combine(members, name), $"../../../../devices/pci0000:00/{name}");
        }

        if (cdev is not null)
        {
            Directory.CreateDirectory(Path.Combine(real, "vfio-dev", cdev));
            if (hasNode)
            {
                Touch(Path.Combine(real, "vfio-dev", cdev, "dev"));
                Directory.CreateDirectory(InDev("vfio/devices"));
                Touch(InDev("iommu"));
            }
        }
    }

    /// <summary>Adds a mediated device as the kernel shows one: no PCI function, and a group of its own where the kernel has groups.</summary>
    /// <returns>Its folder on the bus.</returns>
    public string AddMediated(string uuid, int? group, string? cdev)
    {
        string real = InSys($"devices/virtual/sample/parent/{uuid}");
        Directory.CreateDirectory(real);
        Directory.CreateDirectory(InSys("bus/mdev/devices"));
        File.CreateSymbolicLink(InSys($"bus/mdev/devices/{uuid}"), $"../../../devices/virtual/sample/parent/{uuid}");
        if (group is { } number)
        {
            string target = string.Create(CultureInfo.InvariantCulture, $"../../../../../kernel/iommu_groups/{number}");
            File.CreateSymbolicLink(Path.Combine(real, "iommu_group"), target);
        }

        if (cdev is not null)
        {
            Directory.CreateDirectory(Path.Combine(real, "vfio-dev", cdev));
            Touch(Path.Combine(real, "vfio-dev", cdev, "dev"));
            Directory.CreateDirectory(InDev("vfio/devices"));
            Touch(InDev("iommu"));
        }

        return InSys($"bus/mdev/devices/{uuid}");
    }

    public string InSys(string path) => Path.Combine(_root.Path, "sys", path);

    public void Dispose() => _root.Dispose();

    private string InDev(string path) => Path.Combine(_root.Path, "dev", path);

    private static void Touch(string path) => File.WriteAllText(path, "");
}
