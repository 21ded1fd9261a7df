using Aperture.Configuration;
using Aperture.Machine.Topology;
using Aperture.Placement.Map;

namespace Aperture.Machine.Tests;

/// <summary>What a machine with the test kernels' device is planned like.</summary>
public class TestDevicePlanTests
{
    [Fact]
    public void No_BAR_is_placed_on_its_ports()
    {
        Setting[] bars = [.. Enumerable.Range(4, 20).Select(i => new Setting("--device", $"test,id=t{i},addr={i:x2}.0,bar0=io:256"))];
        Assert.Contains(Of(bars), taken => taken.Contains(new GuestAddress(0x2000)));
        Assert.DoesNotContain(Of([.. bars, new("--device", "pc-testdev")]), taken => taken.Overlaps(new AddressRange(new GuestAddress(0x2000), 24)));
    }

    private static List<AddressRange> Of(Setting[] settings)
    {
        MachineConfig config = ConfigReader.Read(settings, boots: false);
        PlacementMap map = MachineTopology.Of(config, Hypervisors.LimitsOf(46)).Result.Require();
        return [.. map.Functions.SelectMany(f => f.Bars).Select(b => b.Range)];
    }
}
