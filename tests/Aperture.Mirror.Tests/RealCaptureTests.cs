using Aperture.Host.Analysis;
using Aperture.Host.Model;
using Aperture.Placement.Map;
using Aperture.TestKit.Parts.Hosts;

namespace Aperture.Mirror.Tests;

/// <summary>
/// Captures of real machines, which are not part of the project: the tests run where APERTURE_HOSTS names their folder, or a folder <c>shared/hosts</c> stands
/// beside the checkout.
/// </summary>
public class RealCaptureTests
{
    [Theory]
    [InlineData("8-vector-engines.tar.bz2", 52)]
    [InlineData("2-socket-infiniband.tar.bz2", 25)]
    public void Every_bar_bus_and_window_of_a_captured_machine_is_where_the_machine_has_it(string file, int least)
    {
        HostMachine host = RealCaptures.Read(file);
        int bars = Check.Identical(host, Check.Plan(host));
        Assert.True(bars >= least, $"only {bars} BARs were compared");
    }

    [Theory]
    [InlineData("8-vector-engines.tar.bz2", 52)]
    [InlineData("2-socket-infiniband.tar.bz2", 25)]
    public void So_it_is_in_a_guest_of_Arms_kind_whose_RAM_makes_way(string file, int least)
    {
        HostMachine host = RealCaptures.Read(file);
        MirrorPlan plan = Check.PlanVirt(host);
        Assert.True(Check.Identical(host, plan) >= least);
        Assert.Equal(4UL << 30, plan.Result.Require().Ram.Pieces.Aggregate(0UL, (sum, piece) => sum + piece.Size));
        Assert.All(plan.Result.Require().Ram.Pieces, piece => Assert.True(piece.Start.Value >= 1UL << 30));
    }

    [Theory]
    [InlineData("8-vector-engines.tar.bz2")]
    [InlineData("2-socket-infiniband.tar.bz2")]
    public void Every_function_of_a_captured_machine_can_be_mirrored_alone(string file)
    {
        HostMachine host = RealCaptures.Read(file);
        foreach (HostFunction function in host.Functions)
        {
            MirrorPlan plan = Check.Plan(host, function.Address.ToString());
            HashSet<PciAddress> above = [.. HostTopology.BridgesAbove(host, function).Select(bridge => bridge.Address), function.Address];
            Check.Identical(host, plan, only: candidate => above.Contains(candidate.Address));
        }
    }

    [Fact]
    public void Ecam_and_ram_make_room_for_the_accelerators_registers()
    {
        HostMachine host = RealCaptures.Read("8-vector-engines.tar.bz2");
        MirrorPlan plan = Check.Plan(host, ram: 64UL << 30);
        PlacementMap map = plan.Result.Require();
        Check.Identical(host, plan);
        Assert.True(map.Ram.LowPieces[^1].Last.Value < 0x9A00_0000);
        Assert.Equal(64UL << 30, map.Ram.Pieces.Aggregate(0UL, (sum, piece) => sum + piece.Size));
        Assert.Contains(plan.Notes, note => note.StartsWith("ECAM is not at 0xb0000000", StringComparison.Ordinal));
    }
}
