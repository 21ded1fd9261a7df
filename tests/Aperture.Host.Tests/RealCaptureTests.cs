using Aperture.Host.Analysis;
using Aperture.Host.Model;
using Aperture.Pci;
using Aperture.TestKit.Parts.Hosts;

namespace Aperture.Host.Tests;

/// <summary>
/// Facts about captures of real machines (hwloc's test data), checked by hand against the captured files. The captures are not part of the project: the tests
/// run where APERTURE_HOSTS names their folder, or a folder <c>shared/hosts</c> stands beside the checkout.
/// </summary>
public class RealCaptureTests
{
    [Fact]
    public void Eight_vector_engines_have_64_gib_bars_behind_two_switches()
    {
        HostMachine machine = RealCaptures.Read("8-vector-engines.tar.bz2");

        // 28 functions in the bus' list, and the bridge 5f:03.0 that only the device tree has.
        Assert.Equal(29, machine.Functions.Length);
        Assert.Equal([0x17, 0x3A, 0x5D], machine.HostBridges.Select(static bridge => (int)bridge.RootBus));
        HostFunction[] engines = [.. machine.Functions.Where(static f => f.Identity is { Vendor: 0x1BCF, Device: 0x001C })];
        Assert.Equal(8, engines.Length);
        Assert.All(engines, engine =>
        {
            Assert.Equal("ve_drv", engine.Driver);
            Assert.Equal((BarKind.Memory64Prefetchable, 64UL << 30, SizeOrigin.Known), (engine.Bars[0].Kind, engine.Bars[0].Size, engine.Bars[0].Origin));
            Assert.Equal([0, 2, 3, 4, 5], engine.Bars.Select(static bar => bar.Index));
            Assert.Equal(3, HostTopology.BridgesAbove(machine, engine).Length);
        });
        Assert.Equal(new GuestAddress(0x39E0_0000_0000), machine.At("0000:1b:00.0").Bars[0].Address);
        Assert.Equal(new GuestAddress(0x3AB0_0000_0000), machine.At("0000:41:00.0").Bars[0].Address);
        Assert.Equal(AddressRange.FromBounds(new GuestAddress(0x39B0_0000_0000), new GuestAddress(0x39F0_01FF_FFFF)),
            machine.At("0000:17:00.0").Bridge!.Prefetchable);
        Assert.Equal(Say.Address("0000:5f:03.0"), machine.At("0000:60:00.1").Parent);
        Assert.Equal(64, machine.At("0000:60:00.0").Sriov!.TotalVfs);
        Assert.Equal([47925628UL << 10, 49519964UL << 10], machine.NumaNodes.Select(static node => node.MemoryBytes!.Value));
        Assert.False(machine.KnowsIommuGroups);
        Assert.Empty(machine.Findings);
    }

    [Fact]
    public void Engines_of_one_switch_are_near_and_of_two_are_across()
    {
        HostMachine machine = RealCaptures.Read("8-vector-engines.tar.bz2");
        P2pDistance near = HostTopology.Distance(machine, Say.Address("0000:1b:00.0"), Say.Address("0000:1e:00.0"));
        Assert.Equal((P2pDistanceKind.SameSwitch, P2pRouting.Unknown), (near.Kind, near.Routing));
        Assert.Equal(P2pDistanceKind.AcrossHostBridges, HostTopology.Distance(machine, Say.Address("0000:1b:00.0"), Say.Address("0000:3d:00.0")).Kind);
        Assert.Equal(P2pDistanceKind.SameDevice, HostTopology.Distance(machine, Say.Address("0000:60:00.0"), Say.Address("0000:60:00.1")).Kind);
    }

    [Fact]
    public void Two_sockets_have_two_host_bridges_and_an_adapter_with_a_rom()
    {
        HostMachine machine = RealCaptures.Read("2-socket-infiniband.tar.bz2");
        Assert.Equal(37, machine.Functions.Length);
        Assert.Equal([0, 0x40], machine.HostBridges.Select(static bridge => (int)bridge.RootBus));
        HostFunction adapter = machine.At("0000:43:00.0");
        Assert.Equal("1077:7322 ib_qib 2", $"{adapter.Identity.Vendor:x4}:{adapter.Identity.Device:x4} {adapter.Driver} {adapter.NumaNode}");
        Assert.Equal(new AddressRange(new GuestAddress(0xFB40_0000), 4 << 20), adapter.Bars[0].Range);
        Assert.Equal(new AddressRange(new GuestAddress(0xFB00_0000), 128 << 10), adapter.Rom!.Range);
        Assert.False(adapter.Rom.Enabled);
        Assert.Equal(Say.Address("0000:40:03.0"), adapter.Parent);
        Assert.True(machine.At("0000:00:1e.0").Bridge!.Subtractive);
        Assert.Equal(6, machine.At("0000:00:1f.2").Bars.Count(static bar => bar.Kind == BarKind.Io));
        Assert.Equal(4, machine.NumaNodes.Length);
        Assert.Empty(machine.Findings);
    }

    [Fact]
    public void The_engines_hex_dumps_bound_the_sizes_that_the_capture_knows()
    {
        HostMachine known = RealCaptures.Read("8-vector-engines.tar.bz2");
        HostMachine inferred =
            HostReader.ReadLspci(string.Concat(known.Functions.Select(static f => Say.Dump(f.Address.ToString(), f.Config.ToArray()))), "dump");
        foreach (HostFunction function in inferred.Functions)
        {
            foreach (HostBar bar in function.AllBars)
            {
                HostBar truth = known.Find(function.Address)!.AllBars.Single(other => other.Index == bar.Index);
                Assert.Equal((truth.Kind, truth.Address, SizeOrigin.Inferred), (bar.Kind, bar.Address, bar.Origin));
                Assert.True(bar.Size >= truth.Size, $"{function.Address} bar{bar.Index}: {bar.Size} is no bound of {truth.Size}");
            }
        }

        Assert.Equal(64UL << 30, inferred.At("0000:1b:00.0").Bars[0].Size);
    }
}
