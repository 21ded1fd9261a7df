namespace Aperture.Machine.Assigned;

/// <summary>
/// A mediated device: one that a driver of the host makes (mdev, /sys/bus/mdev). It has no address on the host's PCI and no configuration space in sysfs;
/// what it is, only its driver tells, once it is open.
/// </summary>
/// <param name="Name">Its UUID.</param>
/// <param name="Folder">Its folder below /sys/devices.</param>
public sealed record MediatedDevice(string Name, string Folder);
