using Aperture.Assignment;
using Aperture.Host.Model;
using Aperture.Vfio;

namespace Aperture.Machine.Assigned;

/// <summary>Opens mediated devices for a moment, for the BARs that no file of the host's tells.</summary>
internal static class MediatedProbe
{
    /// <summary>What reads the BARs of a device of <paramref name="host"/> by way of <paramref name="path"/>.</summary>
    /// <returns>A function that throws <see cref="ApertureException"/> when the device cannot be opened, or is another host's.</returns>
    public static Func<MediatedDevice, IReadOnlyList<DeviceBar>> For(HostMachine host, VfioPath path) =>
        host.Origin.Kind == HostOriginKind.LiveSysfs
            ? device => Read(device, path)
            : device => throw new ApertureException(
                $"{device.Name} is a mediated device of this host, and the machine is planned for {host.Origin.Name}, whose description tells of none; leave "
                    + "one of them out.");

    private static IReadOnlyList<DeviceBar> Read(MediatedDevice device, VfioPath path)
    {
        VfioDeviceAddress address = VfioDeviceAddress.Sysfs(device.Folder);
        try
        {
            using VfioHost host = VfioHost.Open(path, [address]);
            using IVfioDevice opened = host.Open(address);
            return DeviceBars.Read(opened);
        }
        catch (ApertureException fault)
        {
            throw new ApertureException(
                $"The BARs of the mediated device {device.Name} are known only while it is open, and it cannot be opened: {fault.Message}",
                fault.ExitCode, fault);
        }
    }
}
