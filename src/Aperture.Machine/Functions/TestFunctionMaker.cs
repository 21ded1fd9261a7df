using Aperture.Board;
using Aperture.Configuration.Kinds;
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
        if (node.Device is not TestSpec spec)
        {
            return null;
        }

        HashSet<Region> own = [];
        TestFunction function = new(Describe(spec), _ => new DmaPort(site.Memory, site.MemoryDispatcher, own.Contains));
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

    private static TestDeviceSpec Describe(TestSpec spec) => new()
    {
        Id = spec.Id!,
        Port = spec.Port,
        Bars = [.. spec.Registers.Select(bar => new TestBarSpec(bar.Index, bar.Kind, bar.Size, bar.IsRam ? TestBacking.Ram : TestBacking.Trap))],
        RomSize = spec.RomSize,
        RomFile = spec.RomFile,
        Vendor = spec.Ids?.Vendor ?? TestFunction.TestVendor,
        Device = spec.Ids?.Device ?? TestFunction.TestDevice,
        MsiVectors = spec.MsiVectors,
        MsixVectors = spec.MsixVectors,
    };
}
