using Aperture.Board;
using Aperture.Devices.TestDevice;
using Aperture.Machine.Topology;
using Aperture.Memory;
using Aperture.Pci;

namespace Aperture.Machine.Functions;

/// <summary>Makes test devices.</summary>
internal sealed class TestFunctionMaker : IFunctionMaker
{
    public MadeFunction? Make(TopologyNode node, FunctionSite site)
    {
        if (node.Kind != NodeKind.Test)
        {
            return null;
        }

        HashSet<Region> own = [];
        TestFunction function = new(node.Test!, _ => new DmaPort(site.Memory, site.MemoryDispatcher, own.Contains));
        List<BarRegion> regions = [];
        List<IDisposable> owned = [];
        foreach (Bar bar in function.Bars)
        {
            Region region = Behind(function, bar, owned);
            own.Add(region);
            regions.Add(new BarRegion(bar, region));
        }

        return new MadeFunction(function, regions, owned);
    }

    private static Region Behind(TestFunction function, Bar bar, List<IDisposable> owned)
    {
        string name = $"{function.Name}.{bar.Name}";
        if (function.Handler(bar.Index) is { } handler)
        {
            return Region.Trapped(name, bar.Size, handler);
        }

        RamBlock block = RamBlock.Create(name, bar.Size);
        owned.Add(block);
        return Region.ForRam(name, block, 0, bar.Size);
    }
}
