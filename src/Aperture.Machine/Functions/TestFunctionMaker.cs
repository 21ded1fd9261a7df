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
            regions.AddRange(bar.Sriov is null ? [new BarRegion(bar, Behind(function, bar, owned))] : Shares(function, bar));
        }

        own.UnionWith(regions.Select(piece => piece.Region));
        return new MadeFunction(function, regions, owned);
    }

    // One for each VF that there can be; the board places those that there are.
    private static IEnumerable<BarRegion> Shares(TestFunction function, Bar bar) => function.VirtualFunctions.Select(vf =>
        new BarRegion(bar, Region.Trapped($"{vf.Name}.{BarKinds.BarName(bar.Index - BarKinds.Vf0)}", bar.Size, vf.Handler(bar.Index))) { Vf = vf.Number });

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
        Vfs = spec.Vfs,
        VfBars = [.. spec.VfRegisters.Select(bar => new TestBarSpec(bar.Index, bar.Kind, bar.Size, TestBacking.Trap))],
        VfOffset = spec.VfOffset,
        VfStride = spec.VfStride,
    };
}
