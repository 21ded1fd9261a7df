using Aperture.Configuration;
using Aperture.Configuration.Kinds;
using Aperture.Host.Model;
using Aperture.Machine.Assigned;
using Aperture.Machine.Topology;

namespace Aperture.Machine.Hotplug;

/// <summary>Devices that come into one slot together, as functions of the one device that a slot holds.</summary>
/// <param name="Port">The port whose slot it is.</param>
/// <param name="Nodes">The functions, function 0 first.</param>
internal sealed record SlotPlan(string Port, IReadOnlyList<TopologyNode> Nodes)
{
    private const int MostFunctions = 8;

    /// <summary>
    /// Reads <paramref name="specs"/> as <c>--device</c> does. One <c>port=</c> is enough for all. Where several say no <c>addr=</c>, functions of one device
    /// of the host keep their numbers, if that leaves a function 0, and the others get the lowest that are free, in their order.
    /// </summary>
    /// <param name="specs">At least one.</param>
    /// <param name="descriptors">For numbers of <c>fd=</c>, the numbers that the descriptors meant have in this process; other numbers mean its own.</param>
    /// <param name="config">The machine's configuration, of which the ports and devices do not matter.</param>
    /// <param name="host">The host that has the devices; null for this one.</param>
    /// <exception cref="ApertureException">They cannot come into one slot, or one of them is malformed or not to be had.</exception>
    public static SlotPlan Read(IReadOnlyList<string> specs, IReadOnlyDictionary<int, int> descriptors, MachineConfig config, HostMachine? host)
    {
        PciDeviceSpec[] devices = [.. specs.Select(ConfigReader.ReadDevice)];
        string port = PortOf(specs, devices);
        devices = [.. devices.Select(device => device is VfioSpec assigned ? Own(assigned, descriptors) : device)];
        devices = [.. Placed(port, devices).Select(device => device with { Port = port })];

        // The same reader as at start, for a machine that has nothing but the port.
        TopologyNode slot = TopologyBuilder.Build(
            config with { RootPorts = [new RootPortConfig(port, null)], Switches = [], Devices = devices, Mirror = null }, host)
            .Single(node => node.Name == port);
        return new SlotPlan(port, [.. slot.Children.OrderBy(node => node.DeviceFunction)]);
    }

    private static string PortOf(IReadOnlyList<string> specs, PciDeviceSpec[] devices)
    {
        string[] ports = [.. devices.Select(device => device.Port).OfType<string>().Distinct()];
        return ports.Length switch
        {
            0 => throw new ApertureException($"--device {specs[0]}: a device is attached to a port; say which with port=ID."),
            1 => ports[0],
            _ => throw new ApertureException(
                $"--device {specs[0]} and what is attached with it go to the ports {string.Join(" and ", ports)}; one request fills one slot, so name one "
                    + "port, or attach them one after the other."),
        };
    }

    private static VfioSpec Own(VfioSpec device, IReadOnlyDictionary<int, int> descriptors)
    {
        if (device.Device.Descriptor is not { } number)
        {
            return device;
        }

        VfioSpec own = device with { Device = device.Device with { Descriptor = descriptors.GetValueOrDefault(number, number) } };
        try
        {
            SysfsDevice.Find(own.Device);
        }
        catch (ApertureException fault)
        {
            throw new ApertureException(
                $"fd={number} cannot be attached: it is not a descriptor of /dev/vfio/devices/vfioN, neither of the one that asks nor of the machine; "
                    + $"open the device for the request (aperture attach ... {number}<>/dev/vfio/devices/vfioN), or name it with host= or sysfs=.",
                innerException: fault);
        }

        return own;
    }

    private static PciDeviceSpec[] Placed(string port, PciDeviceSpec[] devices)
    {
        if (devices.Length == 1)
        {
            return devices;
        }

        HashSet<byte> taken = [.. devices.Select(device => device.DeviceFunction).OfType<byte>()];
        byte?[] places = [.. devices.Select(device => device.DeviceFunction)];
        KeepHosts(devices, places, taken);
        for (int i = 0; i < places.Length; i++)
        {
            places[i] ??= Free(port, taken);
        }

        return [.. devices.Zip(places, static (device, place) => device with { DeviceFunction = place })];
    }

    // The functions of one device of the host, that of the first which has no place yet, keep their numbers.
    private static void KeepHosts(PciDeviceSpec[] devices, byte?[] places, HashSet<byte> taken)
    {
        List<(int Index, PciAddress Host)> open = [];
        for (int i = 0; i < devices.Length; i++)
        {
            if (devices[i] is VfioSpec { DeviceFunction: null } assigned && SysfsDevice.Find(assigned.Device).Function is { } host)
            {
                open.Add((i, host));
            }
        }

        open.RemoveAll(each => DeviceOf(each.Host) != DeviceOf(open[0].Host));

        // A guest finds a device by its function 0: one of them, or what else has no place yet gets it.
        bool hasZero = taken.Contains(0) || open.Exists(static each => each.Host.Bdf.Function == 0) || places.Count(static place => place is null) > open.Count;
        foreach ((int index, PciAddress there) in hasZero ? open : [])
        {
            byte function = (byte)there.Bdf.Function;
            places[index] = taken.Add(function) ? function : null;
        }
    }

    private static PciAddress DeviceOf(PciAddress function) => function with { Bdf = new Bdf(function.Bus, function.Bdf.Device, 0) };

    private static byte Free(string port, HashSet<byte> taken)
    {
        for (byte function = 0; function < MostFunctions; function++)
        {
            if (taken.Add(function))
            {
                return function;
            }
        }

        throw new ApertureException($"What is attached to {port} in one request has more than {MostFunctions} functions, which is all that a slot holds.");
    }
}
