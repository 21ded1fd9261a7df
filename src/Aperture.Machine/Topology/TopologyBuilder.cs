using Aperture.Board.Pc;
using Aperture.Devices.TestDevice;
using Aperture.Firmware.Platform;
using Aperture.Host;
using Aperture.Host.Model;
using Aperture.Machine.Assigned;
using Aperture.Machine.Configuration;
using Aperture.Pci;
using Aperture.Placement.Request;

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
        _root = [.. Chipsets.Places(board).Select(p => new TopologyNode(p.Name, NodeKind.Board, p.DeviceFunction))];
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
    public static IReadOnlyList<TopologyNode> Build(MachineConfig config, HostMachine? host)
    {
        CheckExpress(config);
        TopologyBuilder builder = new(config.Board);
        List<AssignedPart> assigned = Assigned(config, host);
        IReadOnlyList<PcDevice> own = PcDevice.Read(config);
        List<(TestDeviceSpec Spec, IReadOnlyList<BarPin> Pins)> devices = [.. config.Devices.Where(d => d.Type == "test").Select(ReadTest)];

        // Given places first, so that a device without one never takes a place that a later option names.
        foreach (RootPortConfig port in config.RootPorts.OrderBy(p => p.DeviceFunction is null))
        {
            builder.KeepRoom(null, builder.Add(null, port.Id, NodeKind.RootPort, port.DeviceFunction, [.. devices.Where(d => d.Spec.Port is null).Select(d => d.Spec.DeviceFunction), .. assigned.Where(a => a.Spec.Port is null).Select(a => a.Spec.DeviceFunction), .. own.Where(d => d.Port is null).Select(d => d.DeviceFunction)]), port.Room);
        }

        builder.AddSwitches(config.Switches);
        foreach ((TestDeviceSpec spec, IReadOnlyList<BarPin> pins) in devices.OrderBy(d => d.Spec.DeviceFunction is null))
        {
            builder.AddTest(spec, pins);
        }

        foreach (PcDevice device in own.OrderBy(d => d.DeviceFunction is null))
        {
            builder.Add(device);
        }

        foreach (AssignedPart part in assigned.OrderBy(a => a.Spec.DeviceFunction is null))
        {
            builder.Add(part);
        }

        CheckFunctionZero(builder._root, "on the root bus");
        return builder._root;
    }

    private static void CheckExpress(MachineConfig config)
    {
        string? port = config.RootPorts.Select(p => $"--root-port id={p.Id}").Concat(config.Switches.Select(s => $"--switch id={s.Id}")).FirstOrDefault();
        if (config.Board != BoardKind.Q35 && port is not null)
        {
            throw new ApertureException($"{port}: --machine i440fx has conventional PCI and no PCI Express ports; put devices on its root bus, or use --machine q35.");
        }
    }

    private static List<AssignedPart> Assigned(MachineConfig config, HostMachine? host)
    {
        List<AssignedSpec> specs = [.. config.Devices.Where(d => d.Type == "vfio").Select(VfioDeviceOptions.Read)];
        if (specs.Count == 0)
        {
            return [];
        }

        AssignedResolver resolver = new(host ?? HostReader.ReadLive());
        return [.. specs.Select(resolver.Resolve)];
    }

    // Without a function 0 nothing finds the others of its device (PCI Local Bus 3.0, 3.2.2.3.4).
    private static void CheckFunctionZero(List<TopologyNode> bus, string where)
    {
        foreach (TopologyNode node in bus)
        {
            if (!bus.Exists(n => n.DeviceFunction == (node.DeviceFunction & ~7)))
            {
                throw new ApertureException($"{node.Name} at {node.DeviceFunction >> 3:x2}.{node.DeviceFunction & 7} {where} would never be found: the device has no function 0; put something at {node.DeviceFunction >> 3:x2}.0.");
            }

            CheckFunctionZero(node.Children, BusName(node));
        }
    }

    /// <summary>A test device's description and pins.</summary>
    /// <exception cref="ApertureException">An option is malformed, or a pin names a BAR that the device does not have.</exception>
    internal static (TestDeviceSpec Spec, IReadOnlyList<BarPin> Pins) ReadTest(DeviceConfig device)
    {
        List<BarPin> pins = [];
        List<KeyValuePair<string, string>> rest = SplitPins(device, pins);
        if (!TestDeviceOptions.TryParse(rest, out TestDeviceSpec? spec, out string? error))
        {
            throw new ApertureException(error);
        }

        CheckPins(spec, pins);
        return (spec, pins);
    }

    /// <summary>The options of <paramref name="device"/> without its pins and their policy, which go to <paramref name="pins"/>.</summary>
    /// <exception cref="ApertureException">A pin is malformed, or there is a policy without a pin.</exception>
    internal static List<KeyValuePair<string, string>> SplitPins(DeviceConfig device, List<BarPin> pins)
    {
        BarPinPolicy? policy = device.Options.Find("policy") is { } text ? ReadPolicy(device, text) : null;
        List<KeyValuePair<string, string>> rest = [];
        foreach (KeyValuePair<string, string> item in device.Options.Items)
        {
            if (item.Key is "bars" or "fixed-bars")
            {
                pins.AddRange(item.Value.Split(',').Select(text => ReadPin(device, text)));
            }
            else if (item.Key != "policy")
            {
                rest.Add(item);
            }
        }

        if (policy is { } asked)
        {
            if (pins.Count == 0)
            {
                throw new ApertureException($"--device {device.Type}: policy= says what happens when the guest moves a pinned BAR, and none is pinned; add bars=barN@ADDRESS or leave it out.");
            }

            for (int i = 0; i < pins.Count; i++)
            {
                pins[i] = pins[i] with { Policy = asked };
            }
        }

        return rest;
    }

    private static BarPinPolicy ReadPolicy(DeviceConfig device, string text) => PinSyntax.TryParsePolicy(text, out BarPinPolicy policy, out string? error)
        ? policy
        : throw new ApertureException($"--device {device.Type}: {error}.");

    private static BarPin ReadPin(DeviceConfig device, string text)
    {
        if (text.EndsWith("host", StringComparison.Ordinal))
        {
            throw new ApertureException($"--device {device.Type}: '{text}' asks for a host address, which only a passed-through device has; write bar0@ADDRESS.");
        }

        return PinSyntax.TryParsePin(text, out BarPin pin, out string? error)
            ? pin
            : throw new ApertureException($"--device {device.Type}: {error}.");
    }

    private static void CheckPins(TestDeviceSpec spec, List<BarPin> pins)
    {
        foreach (BarPin pin in pins)
        {
            string bar = BarKinds.BarName(pin.Index);
            bool exists = pin.Index == BarKinds.RomIndex ? spec.RomSize > 0 : spec.Bars.Any(b => b.Index == pin.Index);
            if (!exists)
            {
                throw new ApertureException($"{spec.Id} has no {bar} to pin at {pin.Address}; give it one or drop the pin.");
            }

            if (pins.Count(p => p.Index == pin.Index) > 1)
            {
                throw new ApertureException($"{spec.Id} {bar} is pinned twice; give it one address.");
            }
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

    private void AddTest(TestDeviceSpec spec, IReadOnlyList<BarPin> pins) =>
        PlugIn(spec.Id, spec.Port, NodeKind.Test, spec.DeviceFunction, node => node with { Test = spec, Pins = pins });

    private void Add(PcDevice device) =>
        PlugIn(device.Id, device.Port, device.Kind, device.DeviceFunction, node => node with { Pc = device });

    private void Add(AssignedPart part) =>
        PlugIn(part.Name, part.Spec.Port, NodeKind.Assigned, part.Spec.DeviceFunction, node => node with { Assigned = part });

    private void PlugIn(string id, string? below, NodeKind kind, byte? place, Func<TopologyNode, TopologyNode> describe)
    {
        TopologyNode? port = below is null ? null : Port(id, below);
        if (port is not null && place is >= 8)
        {
            throw new ApertureException($"{id} cannot sit at device {place >> 3:x2} below {below}: a port has only device 00; write addr=00.F.");
        }

        TopologyNode node = Add(port, id, kind, place, []);
        Replace(port, node, describe(node));
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
            ? $"{id} does not fit below {parent!.Name}, where {bus[0].Name} is: a port takes one device; add a port, or place {id} at a function with addr=00.F."
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
