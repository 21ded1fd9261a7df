using Aperture.Host.Model;
using Aperture.Placement.Map;
using Aperture.Placement.Platforms;
using Aperture.Placement.Request;

namespace Aperture.Mirror.Tests;

/// <summary>Compares a map with the host that it mirrors, from the host's own description.</summary>
internal static class Check
{
    internal static PlacementRequest Guest(ulong ram = 2UL << 30, int bits = 46) => new(
        PlatformLimits.Q35(ram, bits), [new HostBridgeDemand("pcie.0", [new FunctionDemand("mch", 0, []), new FunctionDemand("lpc", 0xF8, [])])]);

    /// <summary>The same host in a guest of Arm's kind.</summary>
    internal static MirrorPlan PlanVirt(HostMachine host, ulong ram = 4UL << 30) => HostMirror.Plan(
        host, MirrorSelection.Parse("all"),
        new PlacementRequest(
            PlatformLimits.Virt(ram, HostMirror.AddressBits(host, ram)), [new HostBridgeDemand("pcie.0", [new FunctionDemand("pcie-host", 0, [])])]));

    internal static MirrorPlan Plan(HostMachine host, string selection = "all", ulong ram = 2UL << 30) =>
        HostMirror.Plan(host, MirrorSelection.Parse(selection), Guest(ram, HostMirror.AddressBits(host, ram)));

    /// <summary>
    /// Every BAR with an address, of every function but chipset bridges, is where the host has it; buses and windows are too. Returns how many BARs that were.
    /// </summary>
    internal static int Identical(HostMachine host, MirrorPlan plan, bool windows = true, Predicate<HostFunction>? only = null)
    {
        Assert.Empty(plan.Result.Conflicts);
        PlacementMap map = plan.Result.Require();
        int bars = 0;
        foreach (HostFunction function in host.Functions.Where(
            function => function.Identity.ClassCode >> 8 is not (0x0600 or 0x0601) && !function.IsVirtualFunction && only?.Invoke(function) != false))
        {
            Assert.True(map.TryGetFunction(function.Address.ToString(), out FunctionPlacement? placed), $"{function.Address} is not in the map");
            Assert.Equal(function.Address.Bdf, placed.Address);
            foreach (HostBar bar in function.AllBars.Where(bar => bar is { Assigned: true, Fixed: false, Size: > 0 }))
            {
                BarPlacement? mine = placed.Bar(bar.Index);
                Assert.True(mine is not null, $"{function.Address} has no BAR {bar.Index}");
                Assert.Equal((bar.Address, bar.Size, bar.Kind), (mine.Address, mine.Range.Size, mine.Demand.Kind));
                bars++;
            }

            if (windows && function.Bridge is { Configured: true } bridge)
            {
                Assert.Equal((bridge.Secondary, bridge.Subordinate), (placed.Bridge!.Secondary, placed.Bridge.Subordinate));
                Assert.Equal((bridge.Io, bridge.Memory, bridge.Prefetchable), (placed.Bridge.Io, placed.Bridge.Memory, placed.Bridge.Prefetchable));
            }
        }

        NothingOverlaps(map);
        return bars;
    }

    /// <summary>RAM and memory BARs share no byte.</summary>
    internal static void NothingOverlaps(PlacementMap map)
    {
        List<AddressRange> all = [.. map.Ram.Pieces, .. map.Ecams.Select(ecam => ecam.Range)];
        all.AddRange(map.Functions.SelectMany(function => function.Bars).Where(bar => bar.Demand.Kind != Pci.BarKind.Io).Select(bar => bar.Range));
        all.Sort();
        Assert.All(all.Zip(all.Skip(1)), pair => Assert.False(pair.First.Overlaps(pair.Second), $"{pair.First} and {pair.Second} overlap"));
    }

    internal static BarText[] Bars(params (string Kind, ulong Size)[] bars) => [.. bars.Select(bar => new BarText(bar.Kind, bar.Size))];
}
