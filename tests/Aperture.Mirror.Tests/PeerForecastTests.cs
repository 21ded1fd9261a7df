using Aperture.Host.Model;
using Aperture.Pci;
using Aperture.Placement.Map;
using Aperture.Placement.Request;

namespace Aperture.Mirror.Tests;

/// <summary>What is said of peers before the guest runs.</summary>
public class PeerForecastTests
{
    private static PeerForecast Forecast(HostMachine host, string from, string to, bool atHost)
    {
        HostFunction sender = At(host, from);
        HostFunction owner = At(host, to);
        AddressRange range = new(atHost ? owner.Bars[0].Address!.Value : new GuestAddress(0x10_0000_0000), 1 << 30);
        BarPlacement bar = new(
            new BarDemand(0, BarKind.Memory64Prefetchable, range.Size), range, new PlacementReason(PlacementReasonKind.Pinned))
        { Size = range.Size };
        return Assert.Single(PeerForecast.All(host, [new PeerDevice("a", sender, []), new PeerDevice("b", owner, [bar])], null));
    }

    private static HostFunction At(HostMachine host, string address) =>
        host.Find(PciAddress.TryParse(address, out PciAddress at) ? at : throw new ArgumentException(address))!;

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Below_two_host_bridges_it_is_up_to_the_platform(bool atHost)
    {
        SyntheticHost made = new SyntheticHost().Root(0, 0).Port(1, Check.Bars(("mem64p", 1 << 30)));
        made.Root(0, 0x80).Port(1, Check.Bars(("mem64p", 1 << 30)));
        PeerForecast forecast = Forecast(made.Read(), "01:00.0", "81:00.0", atHost);
        Assert.Null(forecast.Reaches);
        Assert.StartsWith("up to the platform", forecast.Why, StringComparison.Ordinal);
        Assert.Contains("up to the platform", forecast.Distance.Text, StringComparison.Ordinal);
    }

    [Fact]
    public void Below_a_switch_whose_access_control_is_not_known_only_the_hosts_own_address_is_certain()
    {
        HostMachine host = new SyntheticHost().Root(0, 0).Switch(1, Check.Bars(("mem64p", 1 << 30)), Check.Bars(("mem64p", 1 << 30))).Read();
        Assert.True(Forecast(host, "03:00.0", "04:00.0", atHost: true).Reaches);
        PeerForecast elsewhere = Forecast(host, "03:00.0", "04:00.0", atHost: false);
        Assert.Null(elsewhere.Reaches);
        Assert.Contains("bars=bar0=host", elsewhere.Why, StringComparison.Ordinal);
    }
}
