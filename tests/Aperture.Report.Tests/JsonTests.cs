using System.Globalization;
using System.Text.Json;
using Aperture.Pci;
using Aperture.Placement.Map;
using Aperture.Placement.Request;

namespace Aperture.Report.Tests;

public class JsonTests
{
    [Theory]
    [InlineData(-1)]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(60)]
    public void Everything_in_the_map_can_be_read_back_from_the_json(int functions)
    {
        PlanReport report = functions < 0 ? Samples.HandMade() : Samples.Solved(functions);
        using JsonDocument json = JsonDocument.Parse(JsonRenderer.Render(report));
        Assert.Equal([.. Facts(report.Map)], [.. Facts(json.RootElement)]);
    }

    [Fact]
    public void The_same_map_gives_the_same_bytes() =>
        Assert.Equal(JsonRenderer.Render(Samples.Solved(60)), JsonRenderer.Render(Samples.Solved(60)));

    [Fact]
    public void Bridges_nested_as_deep_as_there_are_buses_can_be_written()
    {
        FunctionPlacement inner = Samples.Function("leaf", 255, 0, Samples.Bar(0, BarKind.Memory32, 0xC000_0000, Samples.M));
        for (int bus = 254; bus >= 0; bus--)
        {
            inner = Samples.Bridge($"b{bus}", (byte)bus, 0, (byte)(bus + 1), null, Samples.Range(0xC000_0000, Samples.M), null, inner);
        }

        PlanReport report = Samples.HandMade();
        report = report with { Map = report.Map with { HostBridges = [report.Map.HostBridges[0] with { Functions = [inner] }] } };
        using JsonDocument json = JsonDocument.Parse(JsonRenderer.Render(report), new JsonDocumentOptions { MaxDepth = 4096 });
        Assert.Equal(256, Walk(json.RootElement.GetProperty("hostBridges")[0].GetProperty("functions")).Count());
        Assert.NotEmpty(TreeRenderer.Render(report));
        Assert.NotEmpty(SvgRenderer.Render(report));
    }

    [Fact]
    public void A_host_address_stands_only_beside_the_bar_it_belongs_to()
    {
        using JsonDocument json = JsonDocument.Parse(JsonRenderer.Render(Samples.HandMade()));
        string[] with = [.. json.RootElement.GetProperty("hostBridges").EnumerateArray()
            .SelectMany(h => Walk(h.GetProperty("functions")))
            .SelectMany(f => f.GetProperty("bars").EnumerateArray().Where(b => b.TryGetProperty("hostAddress", out _))
                .Select(b => $"{f.GetProperty("name")} {b.GetProperty("bar")} {b.GetProperty("hostAddress")}"))];
        Assert.Equal(["gpu0 bar2 0x6b8000000000", "disk bar0 0xdf000000"], with);
    }

    // The map as lines, once from the objects and once from the text.
    private static IEnumerable<string> Facts(PlacementMap map)
    {
        foreach (AddressRange piece in map.Ram.Pieces.Where(p => !p.IsEmpty))
        {
            yield return $"ram {piece}";
        }

        foreach (EcamPlacement ecam in map.Ecams)
        {
            yield return $"ecam {ecam.Segment} {ecam.Range}";
        }

        yield return $"metrics {map.Metrics.HoleSize} {map.Metrics.HoleUsed} {map.Metrics.Gaps} {map.Metrics.HighUsed} {map.Metrics.HighEnd}";
        foreach (HostBridgePlacement host in map.HostBridges)
        {
            yield return $"host {host.Name} {host.Segment} {host.FirstBus} {host.LastBus}";
            yield return $"windows {string.Join(' ', host.IoWindows)} | {string.Join(' ', host.Mmio32Windows)} | {string.Join(' ', host.Mmio64Windows)}";
        }

        foreach (FunctionPlacement function in map.Functions)
        {
            yield return $"function {function.Name} {function.Address}";
            foreach (BarPlacement bar in function.Bars)
            {
                yield return $"bar {BarIndex.Name(bar.Demand.Index)} {bar.Demand.Kind.Keyword()} {bar.Range} {bar.Size} {bar.Why.Text}";
            }

            if (function.Bridge is { } bridge)
            {
                yield return $"bridge {bridge.Primary} {bridge.Secondary} {bridge.Subordinate} {bridge.Io} | {bridge.Memory} | {bridge.Prefetchable}";
            }
        }
    }

    private static IEnumerable<string> Facts(JsonElement json)
    {
        foreach (JsonElement piece in json.GetProperty("ram").EnumerateArray())
        {
            yield return $"ram {Range(piece)}";
        }

        foreach (JsonElement ecam in json.GetProperty("ecam").EnumerateArray())
        {
            yield return $"ecam {ecam.GetProperty("segment")} {Range(ecam)}";
        }

        JsonElement metrics = json.GetProperty("metrics");
        yield return $"metrics {Number(metrics, "holeSize")} {Number(metrics, "holeUsed")} {metrics.GetProperty("gaps")} "
            + $"{Number(metrics, "highUsed")} {metrics.GetProperty("highEnd")}";
        foreach (JsonElement host in json.GetProperty("hostBridges").EnumerateArray())
        {
            yield return $"host {host.GetProperty("name")} {host.GetProperty("segment")} {host.GetProperty("firstBus")} {host.GetProperty("lastBus")}";
            yield return $"windows {Ranges(host, "ioWindows")} | {Ranges(host, "memory32Windows")} | {Ranges(host, "memory64Windows")}";
        }

        foreach (JsonElement function in json.GetProperty("hostBridges").EnumerateArray().SelectMany(h => Walk(h.GetProperty("functions"))))
        {
            yield return $"function {function.GetProperty("name")} {function.GetProperty("address")}";
            foreach (JsonElement bar in function.GetProperty("bars").EnumerateArray())
            {
                yield return $"bar {bar.GetProperty("bar")} {bar.GetProperty("kind")} {Range(bar)} {Number(bar, "decodes")} {bar.GetProperty("why")}";
            }

            if (function.TryGetProperty("bridge", out JsonElement bridge))
            {
                yield return $"bridge {bridge.GetProperty("primary")} {bridge.GetProperty("secondary")} {bridge.GetProperty("subordinate")} "
                    + $"{Range(bridge.GetProperty("io"))} | {Range(bridge.GetProperty("memory"))} | {Range(bridge.GetProperty("prefetchable"))}";
            }
        }
    }

    private static IEnumerable<JsonElement> Walk(JsonElement functions)
    {
        foreach (JsonElement function in functions.EnumerateArray())
        {
            yield return function;
            if (function.TryGetProperty("bridge", out JsonElement bridge))
            {
                foreach (JsonElement below in Walk(bridge.GetProperty("functions")))
                {
                    yield return below;
                }
            }
        }
    }

    private static string Ranges(JsonElement json, string name) => string.Join(' ', json.GetProperty(name).EnumerateArray().Select(Range));

    private static string Range(JsonElement json)
    {
        if (json.ValueKind == JsonValueKind.Null)
        {
            return "";
        }

        Assert.Equal(Number(json, "last") - Number(json, "start") + 1, Number(json, "size"));
        return $"{json.GetProperty("start")}-{json.GetProperty("last")}";
    }

    private static ulong Number(JsonElement json, string name) =>
        ulong.Parse(json.GetProperty(name).GetString()!.AsSpan(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);
}
