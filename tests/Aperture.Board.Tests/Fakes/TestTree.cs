using Aperture.Devices.TestDevice;
using Aperture.Memory;
using Aperture.Pci;
using Aperture.Placement.Request;
using Aperture.TestKit.Parts.Devices;

namespace Aperture.Board.Tests.Fakes;

/// <summary>
/// A tree of ports and test devices in the words of the command line (<c>--root-port id=rp</c>, <c>--switch id=sw,port=rp,downstream=2</c>,
/// <c>--device test,...</c>), as the board's nodes and as the solver's demands. Places that are not given are the lowest free ones. Knows no bad input.
/// </summary>
internal sealed class TestTree
{
    private readonly List<Place> _root;
    private readonly Dictionary<string, Place> _ports = [];

    public TestTree(BoardKind board, IReadOnlyList<TestOption> options)
    {
        _root = [.. Boards.Places(board).Select(p => new Place(p.Name, p.DeviceFunction))];
        List<TestOption> devices = [.. options.Where(o => o is { Name: "--device", Kind: "test" })];
        HashSet<int> taken = [.. devices.Where(d => d["port"] is null && d["addr"] is not null).Select(d => Address(d) >> 3)];
        foreach (TestOption port in options.Where(o => o.Name == "--root-port").OrderBy(o => o["addr"] is null))
        {
            Add(_root, new Place(port["id"]!, port["addr"] is null ? Free(_root, taken) : Address(port)) { Port = PortKind.Root });
        }

        foreach (TestOption bridge in options.Where(o => o.Name == "--switch"))
        {
            Place upstream = Add(_ports[bridge["port"]!].Children, new Place(bridge["id"]!, 0) { Port = PortKind.SwitchUpstream });
            for (int i = 0; i < int.Parse(bridge["downstream"]!, null); i++)
            {
                Add(upstream.Children, new Place($"{bridge["id"]}.{i}", (byte)(i << 3)) { Port = PortKind.SwitchDownstream });
            }
        }

        foreach (TestOption device in devices.OrderBy(o => o["addr"] is null))
        {
            List<Place> bus = device["port"] is { } port ? _ports[port].Children : _root;
            byte place = device["addr"] is null ? Free(bus, []) : Address(device);
            Add(bus, new Place(device["id"]!, place) { Spec = Spec(device), Pins = Pins(device) });
        }
    }

    /// <summary>The board's nodes; the chipset's functions are its own.</summary>
    public IReadOnlyList<BoardNode> Nodes => [.. _root.Where(p => p.Port is not null || p.Spec is not null).Select(Node)];

    public IReadOnlyList<FunctionDemand> Demands => [.. _root.Select(Demand)];

    private static TestDeviceSpec Spec(TestOption device)
    {
        string options = string.Join(',', device.Items.Where(i => i.Key is not ("bars" or "policy")).Select(i => $"{i.Key}={i.Value}"));
        return TestSpecs.Parse(options);
    }

    private static List<BarPin> Pins(TestOption device)
    {
        BarPinPolicy policy = device["policy"] is { } text && PinSyntax.TryParsePolicy(text, out BarPinPolicy parsed, out _) ? parsed : BarPinPolicy.Lock;
        return [.. (device["bars"]?.Split(',') ?? []).Select(t => Pin(t) with { Policy = policy })];
    }

    private static BarPin Pin(string text) => PinSyntax.TryParsePin(text, out BarPin pin, out string? error) ? pin : throw new ArgumentException(error);

    private static byte Address(TestOption option) =>
        Bdf.TryParseDeviceFunction(option["addr"]!, out byte place) ? place : throw new ArgumentException(option["addr"]);

    private static byte Free(List<Place> bus, HashSet<int> taken) =>
        (byte)(Enumerable.Range(0, 32).First(d => !taken.Contains(d) && !bus.Exists(p => p.DeviceFunction >> 3 == d)) << 3);

    private Place Add(List<Place> bus, Place place)
    {
        bus.Add(place);
        if (place.Port is not null)
        {
            _ports.Add(place.Name, place);
        }

        return place;
    }

    private static BoardNode Node(Place place) => place.Port is { } kind
        ? new PortNode(place.Name, place.DeviceFunction, kind, [.. place.Children.Select(Node)])
        : new DeviceNode(place.Name, place.DeviceFunction, site => Make(place.Spec!, site)) { Pins = place.Pins };

    private static FunctionDemand Demand(Place place)
    {
        List<BarDemand> bars = [.. (place.Spec?.Bars ?? []).Select(bar => new BarDemand(bar.Index, bar.Kind, bar.Size, PinOf(place, bar.Index)))];
        if (place.Spec is { RomSize: > 0 } spec)
        {
            bars.Add(new BarDemand(BarKinds.RomIndex, BarKind.Rom, spec.RomSize, PinOf(place, BarKinds.RomIndex)));
        }

        BridgeDemand? bridge = place.Port is null ? null : new BridgeDemand([.. place.Children.Select(Demand)]);
        return new FunctionDemand(place.Name, place.DeviceFunction, bars) { Bridge = bridge };
    }

    private static GuestAddress? PinOf(Place place, int index) =>
        place.Pins.Where(p => p.Index == index).Select(p => (GuestAddress?)p.Address).FirstOrDefault();

    private static MadeFunction Make(TestDeviceSpec spec, FunctionSite site)
    {
        HashSet<Region> own = [];
        TestFunction function = new(spec, _ => new DmaPort(site.Memory, site.MemoryDispatcher, own.Contains));
        List<BarRegion> regions = [];
        List<IDisposable> owned = [];
        foreach (Bar bar in function.Bars)
        {
            string name = $"{function.Name}.{bar.Name}";
            if (function.Handler(bar.Index) is { } handler)
            {
                regions.Add(new BarRegion(bar, Region.Trapped(name, bar.Size, handler)));
            }
            else
            {
                RamBlock block = RamBlock.Create(name, bar.Size);
                owned.Add(block);
                regions.Add(new BarRegion(bar, Region.ForRam(name, block, 0, bar.Size)));
            }
        }

        own.UnionWith(regions.Select(r => r.Region));
        return new MadeFunction(function, regions, owned);
    }

    private sealed record Place(string Name, byte DeviceFunction)
    {
        public PortKind? Port { get; init; }

        public TestDeviceSpec? Spec { get; init; }

        public IReadOnlyList<BarPin> Pins { get; init; } = [];

        public List<Place> Children { get; } = [];
    }
}

/// <summary>An option such as <c>--device test,id=a,bars=bar0@0xe0000000,bar2@4G</c>: a comma before a word without <c>=</c> belongs to the value.</summary>
internal sealed record TestOption(string Name, string Kind, IReadOnlyList<KeyValuePair<string, string>> Items)
{
    public string? this[string key] => Items.Where(i => i.Key == key).Select(i => i.Value).FirstOrDefault();

    public static TestOption Parse(string text)
    {
        string[] halves = text.Split(' ', 2);
        List<KeyValuePair<string, string>> items = [];
        string kind = "";
        foreach (string word in halves[1].Split(','))
        {
            if (word.Split('=', 2) is [string key, string value])
            {
                items.Add(new(key, value));
            }
            else if (items.Count == 0)
            {
                kind = word;
            }
            else
            {
                items[^1] = new(items[^1].Key, $"{items[^1].Value},{word}");
            }
        }

        return new TestOption(halves[0], kind, items);
    }
}
