using Aperture.Host.Model;
using Aperture.Pci;
using Aperture.Placement.Request;

namespace Aperture.Machine.Assigned;

/// <summary>Which device of the host is meant, as the user named it: exactly one member is given.</summary>
/// <param name="Function">By its address.</param>
/// <param name="SysfsPath">By a path below /sys that ends in its address, directly or through a link.</param>
/// <param name="Descriptor">By the number of a descriptor that this process inherited: an opened <c>/dev/vfio/devices/vfioN</c>.</param>
public readonly record struct HostDeviceName(PciAddress? Function, string? SysfsPath, int? Descriptor)
{
    /// <summary>As the user wrote it: <c>host=0000:01:00.0</c>.</summary>
    public override string ToString() =>
        Function is { } function ? $"host={function}" : SysfsPath is not null ? $"sysfs={SysfsPath}" : $"fd={Descriptor}";
}

/// <summary>What the guest finds as the expansion ROM.</summary>
public enum AssignedRom : byte
{
    /// <summary>What the device has.</summary>
    Device,

    /// <summary>None.</summary>
    Off,

    /// <summary>The content of a file.</summary>
    File,
}

/// <summary>A device of the host that the guest gets, as <c>--device vfio,...</c> describes it; checked for form, not against the host.</summary>
/// <param name="Id">The user's name for it, or null for its address on the host.</param>
/// <param name="Device">Which device.</param>
public sealed record AssignedSpec(string? Id, HostDeviceName Device)
{
    /// <summary>The root or downstream port it is plugged into, or null for the root bus.</summary>
    public string? Port { get; init; }

    /// <summary>Its place on that bus, or null for the next free one.</summary>
    public byte? DeviceFunction { get; init; }

    /// <summary>BARs with an address of the user's.</summary>
    public IReadOnlyList<BarPin> Pins { get; init; } = [];

    /// <summary>BARs that are to have the host's address, by index.</summary>
    public IReadOnlyList<int> HostPins { get; init; } = [];

    /// <summary>True when every BAR without a pin of its own is to have the host's address.</summary>
    public bool AllAsHost { get; init; }

    /// <summary>What happens when the guest moves a pinned BAR.</summary>
    public BarPinPolicy Policy { get; init; }

    /// <summary>Which ROM the guest finds.</summary>
    public AssignedRom Rom { get; init; }

    /// <summary>The file of <see cref="AssignedRom.File"/>.</summary>
    public string? RomFile { get; init; }

    /// <summary>BARs that are to be resized before the guest starts, by index, and the sizes in bytes.</summary>
    public IReadOnlyList<KeyValuePair<int, ulong>> Resizes { get; init; } = [];

    /// <summary>The GPUDirect P2P clique that NVIDIA's driver finds in the guest, 0 to 15; null for none.</summary>
    public int? GpuDirectClique { get; init; }
}
