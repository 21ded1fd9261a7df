using System.Text;
using System.Text.Json;
using Aperture.Host.Analysis;
using Aperture.Host.Model;
using Aperture.Host.Reports;
using Aperture.TestKit.Parts.Hosts;

namespace Aperture.Host.Tests;

public class TopologyTests
{
    private const ushort Redirect = 0x1D;

    /// <summary>
    /// Two root ports; below the first a switch with two endpoints, below the second one endpoint with two functions; a second host bridge with one endpoint.
    /// </summary>
    private static HostMachine Switch(ushort acs, ushort rootAcs = 0, HostPortType? onlyHeaders = null)
    {
        int length = onlyHeaders is null ? 4096 : 64;
        StringBuilder text = new();
        Add("0000:00:01.0", ConfigBuilder.Bridge(1, 4, HostPortType.RootPort, length: length), rootAcs);
        Add("0000:01:00.0", ConfigBuilder.Bridge(2, 4, HostPortType.SwitchUpstream, length: length), null);
        Add("0000:02:00.0", ConfigBuilder.Bridge(3, 3, HostPortType.SwitchDownstream, length: length), acs);
        Add("0000:02:01.0", ConfigBuilder.Bridge(4, 4, HostPortType.SwitchDownstream, length: length), acs);
        Add("0000:03:00.0", Endpoint(length), null);
        Add("0000:04:00.0", Endpoint(length), null);
        Add("0000:00:02.0", ConfigBuilder.Bridge(5, 5, HostPortType.RootPort, length: length), rootAcs);
        Add("0000:05:00.0", Endpoint(length), null);
        Add("0000:05:00.1", Endpoint(length), null);
        Add("0000:80:01.0", ConfigBuilder.Bridge(0x81, 0x81, HostPortType.RootPort, length: length), rootAcs);
        Add("0000:81:00.0", Endpoint(length), null);
        return HostReader.ReadLspci(text.ToString(), "switch");

        void Add(string address, ConfigBuilder config, ushort? control) =>
            text.Append(Say.Dump(address, (control is { } on && length == 4096 ? config.Acs(on) : config).Bytes));
    }

    private static ConfigBuilder Endpoint(int length) => length == 4096 ? new ConfigBuilder().Express(HostPortType.Endpoint) : new ConfigBuilder(length);

    private static P2pDistance Distance(HostMachine machine, string from, string to) => HostTopology.Distance(machine, Say.Address(from), Say.Address(to));

    [Theory]
    [InlineData("0000:03:00.0", "0000:03:00.0", P2pDistanceKind.SameFunction)]
    [InlineData("0000:05:00.0", "0000:05:00.1", P2pDistanceKind.SameDevice)]
    [InlineData("0000:03:00.0", "0000:04:00.0", P2pDistanceKind.SameSwitch)]
    [InlineData("0000:03:00.0", "0000:05:00.0", P2pDistanceKind.SameRootComplex)]
    [InlineData("0000:03:00.0", "0000:81:00.0", P2pDistanceKind.AcrossHostBridges)]
    [InlineData("0000:03:00.0", "0000:00:01.0", P2pDistanceKind.SameRootPort)]
    public void Distance_is_by_what_is_common_above(string from, string to, P2pDistanceKind kind)
    {
        HostMachine machine = Switch(0);
        Assert.Equal(kind, Distance(machine, from, to).Kind);
        Assert.Equal(kind, Distance(machine, to, from).Kind);
    }

    [Theory]
    [InlineData(0x00, P2pRouting.Direct)]
    [InlineData(0x11, P2pRouting.Direct)]
    [InlineData(0x04, P2pRouting.Redirected)]
    [InlineData(0x08, P2pRouting.Direct)]
    [InlineData(0x5D, P2pRouting.Redirected)]
    public void Below_one_switch_request_redirect_decides(int control, P2pRouting routing)
    {
        P2pDistance distance = Distance(Switch((ushort)control), "0000:03:00.0", "0000:04:00.0");
        Assert.Equal(routing, distance.Routing);
        Assert.Equal(["0000:02:00.0", "0000:02:01.0"], distance.DecidingPorts.Select(static port => port.Port.ToString()));
        Assert.Equal(["0000:03:00.0", "0000:02:00.0", "0000:01:00.0", "0000:02:01.0", "0000:04:00.0"], distance.Path.Select(static step => step.ToString()));
        Assert.Contains("RR" + ((control & 4) != 0 ? "+" : "-"), distance.Text, StringComparison.Ordinal);
    }

    [Fact]
    public void Between_root_ports_only_redirect_is_certain()
    {
        Assert.Equal(P2pRouting.Unknown, Distance(Switch(0, 0), "0000:03:00.0", "0000:05:00.0").Routing);
        Assert.Equal(P2pRouting.Redirected, Distance(Switch(0, Redirect), "0000:03:00.0", "0000:05:00.0").Routing);
    }

    [Fact]
    public void Completion_redirect_alone_leaves_requests_on_the_straight_way()
    {
        P2pDistance distance = Distance(Switch(0x08), "0000:03:00.0", "0000:04:00.0");
        Assert.Contains("requests go straight to the peer, by its bus address, their completions by way of the root complex", distance.Text,
            StringComparison.Ordinal);
    }

    [Fact]
    public void Between_host_bridges_nothing_but_the_platform_decides()
    {
        P2pDistance distance = Distance(Switch(Redirect, Redirect), "0000:03:00.0", "0000:81:00.0");
        Assert.Equal((P2pDistanceKind.AcrossHostBridges, P2pRouting.Unknown), (distance.Kind, distance.Routing));
        Assert.Contains("up to the platform", distance.Text, StringComparison.Ordinal);
    }

    [Fact]
    public void With_headers_alone_the_switch_is_seen_and_its_access_control_is_not()
    {
        P2pDistance distance = Distance(Switch(0, 0, HostPortType.Endpoint), "0000:03:00.0", "0000:04:00.0");
        Assert.Equal((P2pDistanceKind.SameSwitch, P2pRouting.Unknown), (distance.Kind, distance.Routing));
        Assert.All(distance.DecidingPorts, static port => Assert.False(port.Known));
    }

    [Fact]
    public void Functions_that_are_not_there_are_refused() =>
        Assert.Contains("0000:09:00.0", Say.Refusal(() => Distance(Switch(0), "0000:09:00.0", "0000:03:00.0")));

    [Fact]
    public void Bridges_above_and_the_host_bridge_follow_the_bus_numbers()
    {
        HostMachine machine = Switch(0);
        Assert.Equal(["0000:02:00.0", "0000:01:00.0", "0000:00:01.0"],
            HostTopology.BridgesAbove(machine, machine.At("0000:03:00.0")).Select(static f => f.Address.ToString()));
        Assert.Equal(0x80, HostTopology.HostBridgeOf(machine, machine.At("0000:81:00.0"))!.RootBus);
        Assert.Equal(2, machine.HostBridges.Length);
        Assert.Equal(HostPortType.SwitchDownstream, machine.At("0000:02:01.0").Pcie!.Type);
    }

    [Fact]
    public void One_bus_number_in_two_domains_is_two_buses()
    {
        string text = Say.Dump("0000:00:01.0", ConfigBuilder.Bridge(1, 1, HostPortType.RootPort).Bytes)
            + Say.Dump("0000:01:00.0", new ConfigBuilder().Bytes) + Say.Dump("10000:01:00.0", new ConfigBuilder().Bytes);
        HostMachine machine = HostReader.ReadLspci(text, "domains");
        Assert.Null(machine.At("10000:01:00.0").Parent);
        Assert.Equal(P2pDistanceKind.AcrossHostBridges, Distance(machine, "0000:01:00.0", "10000:01:00.0").Kind);
    }

    [Fact]
    public void A_slot_and_hot_plug_are_read_from_the_port()
    {
        byte[] config = new ConfigBuilder(256, classCode: 0x060400, header: 1).Express(HostPortType.RootPort, slot: 300).Bytes;
        HostPcie pcie = HostReader.ReadLspci(Say.Dump("00:01.0", config), "slot").Functions[0].Pcie!;
        Assert.Equal((HostPortType.RootPort, 300, false), (pcie.Type, pcie.Slot, pcie.HotPlug));
    }

    [Fact]
    public void The_report_and_the_json_name_every_function_once()
    {
        HostMachine machine = Switch(Redirect);
        foreach (HostReportFormat format in Enum.GetValues<HostReportFormat>())
        {
            using StringWriter writer = new();
            HostReport.Write(writer, machine, new HostReportOptions(format));
            string[] lines = writer.ToString().Split('\n');
            Assert.All(machine.Functions,
                function => Assert.Single(lines, line => line.TrimStart().StartsWith(function.Address.ToString(), StringComparison.Ordinal)));
            Assert.Contains(lines, static line => line.Trim() == "acs SV+ TB- RR+ CR+ UF+ DT-");
        }

        using MemoryStream output = new();
        HostJson.Write(output, machine);
        using JsonDocument document = JsonDocument.Parse(output.ToArray());
        Assert.Equal(machine.Functions.Select(static f => f.Address.ToString()),
            document.RootElement.GetProperty("functions").EnumerateArray().Select(static f => f.GetProperty("address").GetString()));
    }
}
