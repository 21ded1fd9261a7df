using Aperture.Assignment;
using Aperture.Board;
using Aperture.Configuration;
using Aperture.Configuration.Kinds;
using Aperture.Host;
using Aperture.Host.Model;
using Aperture.Machine.Assigned;

namespace Aperture.Machine.Topology;

/// <summary>
/// Arranges what the user asked for as a tree: the board's own functions, root ports, switches, devices. Places that are not given are the
/// lowest free ones, in the order of the command line. Every contradiction is one sentence.
/// </summary>
public sealed class TopologyBuilder
{
    private readonly List<TopologyNode> _root;
    private readonly Dictionary<string, TopologyNode> _nodes = [];

    private TopologyBuilder(BoardKind board)
    {
        _root = [.. Boards.Places(board).Select(p => new TopologyNode(p.Name, NodeKind.Board, p.DeviceFunction))];
        foreach (TopologyNode node in _root)
        {
            _nodes.Add(node.Name, node);
        }
    }

    /// <summary>The functions on the root bus, the board's own first.</summary>
    /// <exception cref="ApertureException">Duplicate ids, unknown ports, taken places, more devices than a bus has room for, or bad device options.</exception>
    public static IReadOnlyList<TopologyNode> Build(MachineConfig config) => Build(config, null);

    /// <summary>The functions on the root bus, the board's own first; <paramref name="host"/> has the devices that are passed, null for this host.</summary>
    /// <exception cref="ApertureException">As the other overload; or a device cannot be passed.</exception>
    public static IReadOnlyList<TopologyNode> Build(MachineConfig config, HostMachine? host) => Build(config, host, null);

    /// <summary>
    /// As the other overload; <paramref name="openMediated"/> reads the BARs of mediated devices, null by opening them; <paramref name="askServer"/> those of
    /// devices that other processes serve, null by connecting to them.
    /// </summary>
    /// <exception cref="ApertureException">As there.</exception>
    internal static IReadOnlyList<TopologyNode> Build(
        MachineConfig config,
        HostMachine? host,
        Func<MediatedDevice, IReadOnlyList<DeviceBar>>? openMediated,
        Func<VfioUserSpec, IReadOnlyList<DeviceBar>>? askServer = null)
    {
        CheckExpress(config);
        TopologyBuilder builder = new(config.Board);
        List<PluggedDevice> devices = [.. Own(config), .. Assigned(config, host, openMediated), .. Served(config, askServer)];
        List<byte?> taken = [.. devices.Where(d => d.Device.Port is null).Select(d => d.Device.DeviceFunction)];

        // Given places first, so that a device without one never takes a place that a later option names.
        foreach (RootPortConfig port in config.RootPorts.OrderBy(p => p.DeviceFunction is null))
        {
            builder.KeepRoom(null, builder.Add(null, port.Id, NodeKind.RootPort, port.DeviceFunction, taken), port.Room);
        }

        builder.AddSwitches(config.Switches);
        foreach (PluggedDevice device in devices.OrderBy(d => OrderOf(d.Device)).ThenBy(d => d.Device.DeviceFunction is null))
        {
            builder.PlugIn(device);
        }

        CheckFunctionZero(builder._root, "on the root bus");
        CheckRoutingIds(builder._root, null);
        return builder._root;
    }

    private static void CheckExpress(MachineConfig config)
    {
        PciDeviceSpec? shared = config.Devices.OfType<PciDeviceSpec>().FirstOrDefault(d => d.Sriov is not null);
        if (!Boards.IsExpress(config.Board) && shared is not null)
        {
            throw new ApertureException(
                $"{shared.Id} cannot have VFs: --machine i440fx has conventional PCI, where no guest finds an SR-IOV capability; leave vfs= out, or use "
                    + "--machine q35.");
        }

        string? port = config.RootPorts.Select(p => $"--root-port id={p.Id}").Concat(config.Switches.Select(s => $"--switch id={s.Id}")).FirstOrDefault();
        if (!Boards.IsExpress(config.Board) && port is not null)
        {
            throw new ApertureException(
                $"{port}: --machine i440fx has conventional PCI and no PCI Express ports; put devices on its root bus, or use --machine q35.");
        }
    }

    // A device before it has a place.
    private sealed record PluggedDevice(string Name, PciDeviceSpec Device, AssignedPart? Assigned = null);

    // Test devices, then the PC's own, then the host's: the order in which places are given out.
    private static int OrderOf(PciDeviceSpec device) => device switch { TestSpec => 0, AssignedSpec => 2, _ => 1 };

    private static NodeKind KindOf(PciDeviceSpec device) => device switch
    {
        TestSpec => NodeKind.Test,
        DiskSpec => NodeKind.Disk,
        VgaSpec => NodeKind.Display,
        _ => NodeKind.Assigned,
    };

    private static IEnumerable<PluggedDevice> Own(MachineConfig config)
    {
        int disks = 0;
        foreach (PciDeviceSpec device in config.Devices.OfType<PciDeviceSpec>().Where(d => d is not AssignedSpec))
        {
            string number = device is DiskSpec ? $"{disks++}" : "";
            yield return new PluggedDevice(device.Id ?? device.Kind.Word + number, device);
        }
    }

    private static IEnumerable<PluggedDevice> Assigned(
        MachineConfig config, HostMachine? host, Func<MediatedDevice, IReadOnlyList<DeviceBar>>? openMediated)
    {
        VfioSpec[] specs = [.. config.Devices.OfType<VfioSpec>()];
        if (specs.Length == 0)
        {
            return [];
        }

        host ??= HostReader.ReadLive();
        AssignedResolver resolver = new(host, openMediated ?? MediatedProbe.For(host, config.Vfio));
        return [.. specs.Select(resolver.Resolve).Select(part => new PluggedDevice(part.Name, part.Spec, part))];
    }

    private static IEnumerable<PluggedDevice> Served(MachineConfig config, Func<VfioUserSpec, IReadOnlyList<DeviceBar>>? ask)
    {
        ServedResolver resolver = new(ask ?? ServedProbe.Ask);
        return [.. config.Devices.OfType<VfioUserSpec>().Select(resolver.Resolve).Select(part => new PluggedDevice(part.Name, part.Spec, part))];
    }

    // Without a function 0 nothing finds the others of its device (PCI Local Bus 3.0, 3.2.2.3.4).
    private static void CheckFunctionZero(List<TopologyNode> bus, string where)
    {
        foreach (TopologyNode node in bus)
        {
            if (!bus.Exists(n => n.DeviceFunction == (node.DeviceFunction & ~7)))
            {
                throw new ApertureException(
                    $"{node.Name} at {node.DeviceFunction >> 3:x2}.{node.DeviceFunction & 7} {where} would never be found: the device has no function 0; put "
                        + $"something at {node.DeviceFunction >> 3:x2}.0.");
            }

            CheckFunctionZero(node.Children, BusName(node));
        }
    }

    // Two functions at one routing id: a guest would reach one of them only.
    private static void CheckRoutingIds(List<TopologyNode> bus, TopologyNode? parent)
    {
        Dictionary<int, string> taken = bus.ToDictionary(node => (int)node.DeviceFunction, node => node.Name);
        foreach (TopologyNode node in bus)
        {
            for (int vf = 0; node.Device?.Sriov is { } sriov && vf < sriov.TotalVfs; vf++)
            {
                int place = node.DeviceFunction + sriov.FirstOffset + (vf * sriov.Stride);
                string name = $"VF {vf} of {node.Name}";
                if (!taken.TryAdd(place, name))
                {
                    throw new ApertureException($"{name} would be at {place >> 3 & 0x1F:x2}.{place & 7} {BusName(parent)}, where {taken[place]} is; "
                        + "use fewer VFs, another vf-offset= or vf-stride=, or another place.");
                }
            }

            CheckRoutingIds(node.Children, node);
        }
    }

    private void AddSwitches(IReadOnlyList<SwitchConfig> switches)
    {
        // A switch may name a port of a switch that comes later on the command line.
        List<SwitchConfig> open = [.. switches];
        while (open.Count > 0)
        {
            SwitchConfig next = open.Find(s => _nodes.ContainsKey(s.Port)) ?? throw UnknownPort(open[0].Id, open[0].Port);
            open.Remove(next);
            TopologyNode upstream = Add(Port(next.Id, next.Port), next.Id, NodeKind.SwitchUpstream, 0, []);
            for (int i = 0; i < next.DownstreamPorts; i++)
            {
                KeepRoom(upstream, Add(upstream, $"{next.Id}.{i}", NodeKind.SwitchDownstream, (byte)(i << 3), []), next.Room);
            }
        }
    }

    private void PlugIn(PluggedDevice device)
    {
        (string id, string? below, byte? place) = (device.Name, device.Device.Port, device.Device.DeviceFunction);
        TopologyNode? port = below is null ? null : Port(id, below);
        if (port is not null && place is >= 8)
        {
            throw new ApertureException($"{id} cannot sit at device {place >> 3:x2} below {below}: a port has only device 00; write addr=00.F.");
        }

        TopologyNode node = Add(port, id, KindOf(device.Device), place, []);
        Replace(port, node, node with { Device = device.Assigned is null ? device.Device : null, Assigned = device.Assigned });
    }

    private void KeepRoom(TopologyNode? parent, TopologyNode port, PortRoom? room)
    {
        if (room is not null)
        {
            Replace(parent, port, port with { Room = room });
        }
    }

    private void Replace(TopologyNode? parent, TopologyNode old, TopologyNode node)
    {
        List<TopologyNode> bus = parent?.Children ?? _root;
        bus[bus.IndexOf(old)] = node;
        _nodes[node.Name] = node;
    }

    private TopologyNode Add(TopologyNode? parent, string id, NodeKind kind, byte? place, IReadOnlyList<byte?> alsoTaken)
    {
        if (_nodes.ContainsKey(id))
        {
            throw new ApertureException($"The id {id} is used twice; give each port, switch and device an id of its own.");
        }

        List<TopologyNode> bus = parent?.Children ?? _root;
        byte where = place ?? FirstFree(parent, bus, id, alsoTaken);
        if (bus.Find(n => n.DeviceFunction == where) is { } other)
        {
            throw new ApertureException($"{id} cannot sit at {where >> 3:x2}.{where & 7} {BusName(parent)}: {other.Name} is there.");
        }

        TopologyNode node = new(id, kind, where);
        bus.Add(node);
        _nodes.Add(id, node);
        return node;
    }

    private static byte FirstFree(TopologyNode? parent, List<TopologyNode> bus, string id, IReadOnlyList<byte?> alsoTaken)
    {
        int devices = parent is { IsPort: true } ? 1 : 32;
        for (int device = 0; device < devices; device++)
        {
            if (!bus.Exists(n => n.DeviceFunction >> 3 == device) && !alsoTaken.Any(p => p >> 3 == device))
            {
                return (byte)(device << 3);
            }
        }

        throw new ApertureException(devices == 1
            ? $"{id} does not fit below {parent!.Name}, where {bus[0].Name} is: a port takes one device; add a port, or place {id} at a function with "
                + "addr=00.F."
            : $"{id} does not fit on the root bus: all 32 devices are taken; put it below a --root-port.");
    }

    private TopologyNode Port(string id, string port)
    {
        TopologyNode node = _nodes.TryGetValue(port, out TopologyNode? found) ? found : throw UnknownPort(id, port);
        return node.IsPort
            ? node
            : throw new ApertureException($"{id} cannot be plugged into {port}, which is not a root or downstream port; {KnownPorts()}.");
    }

    private ApertureException UnknownPort(string id, string port) => new($"{id} names the port {port}, which does not exist; {KnownPorts()}.");

    private string KnownPorts()
    {
        string ports = string.Join(", ", _nodes.Values.Where(n => n.IsPort).Select(n => n.Name));
        return ports.Length > 0 ? $"there are {ports}" : "there is no port: add one with --root-port id=ID";
    }

    private static string BusName(TopologyNode? parent) => parent is null ? "on the root bus" : $"below {parent.Name}";
}
