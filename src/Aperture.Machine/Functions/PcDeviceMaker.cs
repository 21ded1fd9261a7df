using Aperture.Board;
using Aperture.Configuration.Kinds;
using Aperture.Devices.Display;
using Aperture.Machine.Topology;
using Aperture.Memory;
using Aperture.Pci;
using Aperture.Pci.Ports;
using Aperture.Virtio.Block;
using Aperture.Virtio.Transport;

namespace Aperture.Machine.Functions;

/// <summary>Makes disks and the display adapter.</summary>
/// <param name="report">Told one sentence when the host fails a disk; any thread.</param>
/// <param name="fail">Told one sentence when a device's thread fails, which ends the run; any thread.</param>
internal sealed class PcDeviceMaker(Action<string> report, Action<string> fail) : IFunctionMaker
{
    public MadeFunction? Make(TopologyNode node, FunctionSite site) => node.Device switch
    {
        DiskSpec disk => MakeDisk(node, disk, site),
        VgaSpec display => MakeDisplay(node, display),
        _ => null,
    };

    private MadeFunction MakeDisk(TopologyNode node, DiskSpec disk, FunctionSite site)
    {
        IBlockStorage storage = DiskImage.Open(disk.File, disk.ReadOnly, disk.Snapshot, report);
        HashSet<Region> own = [];
        string serial = disk.Serial ?? node.Name[..Math.Min(node.Name.Length, VirtioBlock.IdLength)];
        PciePortType? type = !site.IsExpress ? null : disk.Port is null ? PciePortType.RootComplexEndpoint : PciePortType.Endpoint;
        VirtioPciFunction function = new(
            node.Name,
            new VirtioBlock(storage, serial),
            _ => new DmaPort(site.Memory, site.MemoryDispatcher, own.Contains),
            type,
            fault => fail($"the thread of {node.Name} failed, which is a fault of this program: {fault}"));
        List<BarRegion> regions = Regions(function, function);
        own.UnionWith(regions.Select(r => r.Region));
        return new MadeFunction(function, regions, [function, storage]);
    }

    private static MadeFunction MakeDisplay(TopologyNode node, VgaSpec display)
    {
        ExpansionRom? rom = display.VideoBios is { } path ? ExpansionRom.Load(path) : null;
        StandardVga function = new(node.Name, rom);
        return new MadeFunction(function, Regions(function, function), [function])
        {
            Fixed =
            [
                new FixedRange(Region.Trapped("vga-window", StandardVga.WindowRange.Size, function.LegacyWindow, posted: true), StandardVga.WindowRange.Start,
                    IsPorts: false),
                new FixedRange(Region.Trapped("vga-ports", StandardVga.PortCount, function.LegacyPorts), new GuestAddress(StandardVga.FirstPort),
                    IsPorts: true),
                new FixedRange(Region.Trapped("vga-dispi", StandardVga.DispiPortCount, function.BochsPorts), new GuestAddress(StandardVga.FirstDispiPort),
                    IsPorts: true),
            ],
        };
    }

    private static List<BarRegion> Regions(PciFunction function, IBarBacking backing)
    {
        List<BarRegion> regions = [];
        foreach (Bar bar in function.Bars)
        {
            string name = $"{function.Name}.{bar.Name}";
            regions.Add(new BarRegion(bar, backing.Handler(bar.Index) is { } handler
                ? Region.Trapped(name, bar.Size, handler)
                : bar.Kind == BarKind.Rom ? Region.ForRom(name, backing.Memory(bar.Index)!, 0, bar.Size)
                : Region.ForRam(name, backing.Memory(bar.Index)!, 0, bar.Size)));
        }

        return regions;
    }
}
