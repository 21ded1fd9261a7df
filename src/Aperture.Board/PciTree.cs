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
        try
        {
            Place(bus, [node], [made]);
        }
        catch
        {
            Release([made]);
            throw;
        }

        if (made.Function is PciBridge bridge && node is PortNode port)
        {
            Add(bridge.Secondary, port.Children);
        }

        return made.Function;
    }

    /// <summary>
    /// Makes the functions for <paramref name="nodes"/> and puts all of them on <paramref name="bus"/> in one step, or none. <paramref name="made"/> is told of
    /// them while none is on the bus, and may refuse.
    /// </summary>
    /// <exception cref="ApertureException">A place is taken, or a maker or <paramref name="made"/> refuses; what was made is given back.</exception>
    public IReadOnlyList<PciFunction> AddTogether(PciBus bus, IReadOnlyList<DeviceNode> nodes, Action<IReadOnlyList<PciFunction>> made)
    {
        List<MadeFunction> all = [];
        try
        {
            foreach (DeviceNode node in nodes)
            {
                all.Add(Make(node));
            }

            PciFunction[] functions = [.. all.Select(each => each.Function)];
            made(functions);
            Place(bus, nodes, all);
            return functions;
        }
        catch
        {
            Release(all);
            throw;
        }
    }

    /// <summary>
    /// Takes <paramref name="functions"/> and all below them off their buses in one step. <paramref name="apply"/> brings the address spaces to that; only then
    /// is given back what the functions own, which happens as well when <paramref name="apply"/> fails: they are off the bus, and nobody else will.
    /// </summary>
    public void Remove(IReadOnlyList<PciFunction> functions, Action apply)
    {
        List<PciFunction> leaving = [];
        try
        {
            lock (hierarchy.Sync)
            {
                foreach (PciFunction function in functions)
                {
                    leaving.AddRange(function is PciBridge bridge ? PciHierarchy.FunctionsBelow(bridge.Secondary) : []);
                    leaving.Add(function);
                }

                hierarchy.InOneStep(() => TakeOff(functions));
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
            List<MadeFunction> released = [];
            foreach (PciFunction gone in leaving)
            {
                if (_made.Remove(gone, out MadeFunction? made))
                {
                    released.Add(made);
                }
            }

            Release(released);
        }
    }

    /// <summary>What the functions answer beside their BARs.</summary>
    public IEnumerable<FixedRange> Fixed => _made.Values.SelectMany(m => m.Fixed);

    /// <summary>Gives back what the functions own; once nothing can reach them.</summary>
    public void Dispose()
    {
        Release([.. _made.Values]);
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

    private static void TakeOff(IReadOnlyList<PciFunction> functions)
    {
        foreach (PciFunction function in functions)
        {
            function.Bus?.Remove(function);
        }
    }

    private static void Release(IReadOnlyList<MadeFunction> made)
    {
        foreach (IDisposable owned in made.SelectMany(each => each.Owned))
        {
            owned.Dispose();
        }
    }

    private void Place(PciBus bus, IReadOnlyList<BoardNode> nodes, List<MadeFunction> made) => hierarchy.InOneStep(() =>
    {
        try
        {
            for (int i = 0; i < made.Count; i++)
            {
                bus.Add(nodes[i].DeviceFunction, made[i].Function);
            }
        }
        catch
        {
            TakeOff([.. made.Select(each => each.Function)]);
            throw;
        }

        foreach (MadeFunction each in made)
        {
            _made.Add(each.Function, each);
            foreach (BarRegion behind in each.Regions)
            {
                bars.Register(behind);
            }

            router.Connect(each);
        }
    });
}
