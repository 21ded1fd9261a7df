using Aperture.Host.Analysis;
using Aperture.Host.Model;

namespace Aperture.Mirror;

/// <summary>Puts the mirrored functions below the bridges, switches and host bridges that they have on the host, each at its own device number.</summary>
internal sealed class TreeMaker(HostMachine host, MirrorNotes notes)
{
    private const int Places = 256;
    private const int FunctionsOfDevice = 8;

    private readonly Dictionary<PciAddress, MirrorNode> _nodes = [];
    private readonly Dictionary<(uint Domain, byte Bus), MirrorNode> _missing = [];
    private readonly SortedDictionary<(uint Domain, byte Bus), MirrorRoot> _roots = [];

    /// <summary>The host bridges with what is below them, by domain and root bus.</summary>
    public IReadOnlyList<MirrorRoot> Make(IReadOnlyList<HostFunction> functions)
    {
        HashSet<PciAddress> withChildren = [.. functions.Where(function => function.Parent is not null).Select(function => function.Parent!.Value)];

        // Bridges first: a VF that has to step aside does so for them too.
        foreach (HostFunction function in functions.OrderBy(function => function.IsVirtualFunction))
        {
            Node(function, withChildren);
        }

        foreach (MirrorRoot root in _roots.Values)
        {
            FillPlaces(root.Domain, root.RootBus, root.Functions);
        }

        return [.. _roots.Values];
    }

    /// <summary>A free place on a bus: the first device without any function; -1 when there is none.</summary>
    public static int FreePlace(IReadOnlyCollection<MirrorNode> bus) =>
        Enumerable.Range(0, Places / FunctionsOfDevice).Where(device => bus.All(node => node.DeviceFunction / FunctionsOfDevice != device))
            .Select(device => device * FunctionsOfDevice).FirstOrDefault(-1);

    private MirrorNode Node(HostFunction function, HashSet<PciAddress> withChildren)
    {
        if (_nodes.TryGetValue(function.Address, out MirrorNode? known))
        {
            return known;
        }

        bool isBridge = IsBridge(function, withChildren);
        MirrorNode node = new(function.Address.ToString(), function.Address.Bdf.DeviceFunction)
        {
            Host = function,
            IsBridge = isBridge,
            Secondary = isBridge ? function.Bridge!.Secondary : (byte)0,
            Subordinate = isBridge ? Math.Max(function.Bridge!.Subordinate, function.Bridge.Secondary) : (byte)0,
        };
        _nodes.Add(function.Address, node);
        Put(node, Bus(function, withChildren));
        return node;
    }

    private bool IsBridge(HostFunction function, HashSet<PciAddress> withChildren)
    {
        if (function.Bridge is not { } bridge)
        {
            return false;
        }

        if (!bridge.Configured)
        {
            notes.Add("Bridges that the host gave no bus number, and so none here", function.Address.ToString());
            return false;
        }

        // A CardBus bridge's header has one BAR and other windows; it is a bridge here only for what is behind it.
        return function.HeaderType == 1 || withChildren.Contains(function.Address) || function.Children.Any(child => _nodes.ContainsKey(child));
    }

    /// <summary>The functions on the bus that <paramref name="function"/> stands on.</summary>
    private List<MirrorNode> Bus(HostFunction function, HashSet<PciAddress> withChildren)
    {
        if (function.Parent is not { } above || host.Find(above) is not { } bridge)
        {
            HostBridge? root = HostTopology.HostBridgeOf(host, function);
            return Root(function.Address.Domain, root?.RootBus ?? function.Address.Bus).Functions;
        }

        withChildren.Add(above);
        MirrorNode parent = Node(bridge, withChildren);
        if (parent.Secondary == function.Address.Bus || function.IsVirtualFunction)
        {
            return parent.Children;
        }

        // The description lacks the bridge to this bus.
        (uint, byte) key = (function.Address.Domain, function.Address.Bus);
        if (!_missing.TryGetValue(key, out MirrorNode? filler))
        {
            int place = Enumerable.Range(0, Places).FirstOrDefault(
                place => place % FunctionsOfDevice == 0
                    && host.Find(new PciAddress(key.Item1, new Bdf(parent.Secondary, (byte)(place / FunctionsOfDevice), 0))) is null);
            filler = new MirrorNode($"bridge to {key.Item1:x4}:{key.Item2:x2}", (byte)place)
            {
                IsBridge = true,
                Secondary = key.Item2,
                Subordinate = key.Item2,
            };
            _missing.Add(key, filler);
            Put(filler, parent.Children);
            notes.Add("Bridges that the description of the host lacks, put in at a free place", $"{filler.Name} below {parent.Name}");
        }

        return filler.Children;
    }

    private MirrorRoot Root(uint domain, byte bus)
    {
        if (!_roots.TryGetValue((domain, bus), out MirrorRoot? root))
        {
            _roots.Add((domain, bus), root = new MirrorRoot($"{domain:x4}:{bus:x2}", domain, bus));
        }

        return root;
    }

    private void Put(MirrorNode node, List<MirrorNode> bus)
    {
        if (bus.Exists(other => other.DeviceFunction == node.DeviceFunction) && FreePlace(bus) is >= 0 and int free)
        {
            node.DeviceFunction = (byte)free;
            notes.Add("Moved to another device number, because their bus is not one of its own here", $"{node.Name} to {new Bdf((ushort)free).Device:x2}.0");
        }

        bus.Add(node);
    }

    /// <summary>A device is found by its function 0 only (PCI 3.0, 3.2.2.3.4), so one without BARs stands where the host's is not mirrored.</summary>
    private void FillPlaces(uint domain, byte bus, List<MirrorNode> functions)
    {
        foreach (byte device in functions.Select(node => (byte)(node.DeviceFunction / FunctionsOfDevice)).Distinct().ToList())
        {
            if (functions.TrueForAll(node => node.DeviceFunction != device * FunctionsOfDevice))
            {
                string name = new PciAddress(domain, new Bdf(bus, device, 0)).ToString();
                functions.Add(new MirrorNode(name, (byte)(device * FunctionsOfDevice)));
                notes.Add("Place holders without BARs, because a guest finds a device by its function 0", name);
            }
        }

        foreach (MirrorNode bridge in functions.Where(node => node.IsBridge))
        {
            FillPlaces(domain, bridge.Secondary, bridge.Children);
        }
    }
}
