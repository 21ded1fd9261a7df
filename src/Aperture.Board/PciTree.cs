using Aperture.Pci;
using Aperture.Pci.Ports;
using Aperture.Placement.Request;

namespace Aperture.Board;

/// <summary>
/// The functions on a board's buses and what they own. Functions come as nodes, at start and at run time, and leave again; the address spaces follow when the
/// board applies its registers.
/// </summary>
internal sealed class PciTree(PciHierarchy hierarchy, BarMapper bars, InterruptRouter router, FunctionSite site) : IDisposable
{
    private readonly Dictionary<PciFunction, MadeFunction> _made = [];
    private readonly PortMaker _ports = new();

    /// <summary>Makes the functions for <paramref name="nodes"/> and all below them and puts them on <paramref name="bus"/>.</summary>
    /// <exception cref="ApertureException">A place is taken, or a maker refuses; what was added before stays.</exception>
    public void Add(PciBus bus, IReadOnlyList<BoardNode> nodes)
    {
        foreach (BoardNode node in nodes)
        {
            Add(bus, node);
        }
    }

    /// <summary>As <see cref="Add(PciBus, IReadOnlyList{BoardNode})"/> for one node.</summary>
    public PciFunction Add(PciBus bus, BoardNode node)
    {
        MadeFunction made = Make(node);
        lock (hierarchy.Sync)
        {
            try
            {
                bus.Add(node.DeviceFunction, made.Function);
            }
            catch
            {
                Release(made);
                throw;
            }

            _made.Add(made.Function, made);
            foreach (BarRegion behind in made.Regions)
            {
                bars.Register(behind);
            }

            router.Connect(made);
        }

        if (made.Function is PciBridge bridge && node is PortNode port)
        {
            Add(bridge.Secondary, port.Children);
        }

        return made.Function;
    }

    /// <summary>
    /// Takes <paramref name="function"/> and all below it off its bus. <paramref name="apply"/> brings the address spaces to that; only then is given back
    /// what the functions own, which happens as well when <paramref name="apply"/> fails: they are off the bus, and nobody else will.
    /// </summary>
    public void Remove(PciFunction function, Action apply)
    {
        List<PciFunction> leaving = [];
        try
        {
            lock (hierarchy.Sync)
            {
                if (function is PciBridge bridge)
                {
                    leaving.AddRange(PciHierarchy.FunctionsBelow(bridge.Secondary));
                }

                leaving.Add(function);
                function.Bus?.Remove(function);
                try
                {
                    apply();
                }
                finally
                {
                    leaving.ForEach(Forget);
                }
            }
        }
        finally
        {
            foreach (PciFunction gone in leaving)
            {
                if (_made.Remove(gone, out MadeFunction? made))
                {
                    Release(made);
                }
            }
        }
    }

    /// <summary>What the functions answer beside their BARs.</summary>
    public IEnumerable<FixedRange> Fixed => _made.Values.SelectMany(m => m.Fixed);

    /// <summary>Gives back what the functions own; once nothing can reach them.</summary>
    public void Dispose()
    {
        foreach (MadeFunction made in _made.Values)
        {
            Release(made);
        }

        _made.Clear();
    }

    private MadeFunction Make(BoardNode node)
    {
        switch (node)
        {
            case PortNode port:
                return _ports.Make(port);
            case DeviceNode device:
                MadeFunction made = device.Make(site);
                Pin(made.Function, device.Pins);
                return made;
            default:
                throw new ArgumentException($"{node.Name} is neither a port nor a device.", nameof(node));
        }
    }

    private void Forget(PciFunction gone)
    {
        router.Disconnect(gone);
        foreach (Bar bar in gone.Bars)
        {
            bars.Unregister(bar);
        }
    }

    private static void Pin(PciFunction function, IReadOnlyList<BarPin> pins)
    {
        foreach (BarPin pin in pins)
        {
            function.FindBar(pin.Index)?.SetPin(pin.Address, pin.Policy);
        }
    }

    private static void Release(MadeFunction made)
    {
        foreach (IDisposable owned in made.Owned)
        {
            owned.Dispose();
        }
    }
}
