using System.Text.Json;

namespace Aperture.Guest.Tests;

/// <summary>
/// DMA of one passed-through device into the BAR of another, and what the run says of it, on both of VFIO's interfaces; in the lab (lab/peers).
/// </summary>
public sealed class LabPassthroughPeerTests
{
    private const string HostAddress = "0x0000380000000000";
    private const string Moved = "0x380001000000";

    // VFIO_DEVICE_FEATURE_DMA_BUF.
    private static readonly Version Buffers = new(6, 19);

    [Fact]
    public async Task Peers_reach_a_BAR_exactly_while_and_where_it_decodes_and_what_iommufd_refuses_is_told()
    {
        PassthroughScript script = await PassthroughScript.RunAsync("peers", "0000:00:17.0", "0000:05:00.0");
        bool hasIommufd = script.Said.Contains("has iommufd");
        Assert.Equal(["container = 0", hasIommufd ? "iommufd = 0" : "iommufd = 3"], script.Said.Where(l => l.Contains(" = ", StringComparison.Ordinal)));
        CheckReached(script, "container");
        if (!hasIommufd)
        {
            Assert.Contains("/dev/iommu", script.Complained, StringComparison.Ordinal);
            return;
        }

        if (Linux(script) >= Buffers)
        {
            CheckReached(script, "iommufd");
            return;
        }

        // No mapping, no DMA: the first write does not arrive.
        string[] iommufd = script.Guest("iommufd", "peer");
        Assert.Equal("wrong", iommufd[0].Split(' ')[4]);
        JsonElement[] refused = [.. script.Events("iommufd").Where(e => Kind(e) == "p2p.refused" && e.GetProperty("region").GetString() == "nvme1 bar2")];
        Assert.All(refused, e => Assert.Contains("--vfio container", e.GetProperty("reason").GetString(), StringComparison.Ordinal));

        // Once for each place: at first, where the guest moved it, and back.
        Assert.Equal(["0x380000000000", Moved, "0x380000000000"], refused.Select(e => e.GetProperty("address").GetString()));
    }

    private static void CheckReached(PassthroughScript script, string path)
    {
        string[] seen = script.Guest(path, "peer");
        Assert.Equal(["dma", "read", "off", "on", "moved", "stale"], seen.Select(l => l.Split(' ')[0]));
        Assert.All(seen, l => Assert.Equal("ok", l.Split(' ')[4]));
        Assert.Equal(HostAddress, seen[0].Split(' ')[3]);
        Assert.Equal(Moved, seen[4].Split(' ')[3]);
        string[] told = [.. script.Events(path)
            .Where(e => Kind(e).StartsWith("p2p.", StringComparison.Ordinal) && e.GetProperty("region").GetString() == "nvme1 bar2")
            .Select(e => $"{Kind(e)} {e.GetProperty("address").GetString()}")];
        Assert.Contains("p2p.mapped 0x380000000000", told);
        Assert.Contains($"p2p.mapped {Moved}", told);
        Assert.DoesNotContain(told, t => t.StartsWith("p2p.refused", StringComparison.Ordinal));
    }

    private static Version Linux(PassthroughScript script)
    {
        string release = script.Said.Single(l => l.StartsWith("linux ", StringComparison.Ordinal))["linux ".Length..];
        return Version.Parse(string.Join('.', release.Split('-')[0].Split('.').Take(2)));
    }

    [Fact]
    public async Task A_device_of_the_host_comes_to_a_running_guest_goes_and_is_the_hosts_again_when_it_asks()
    {
        PassthroughScript script = await PassthroughScript.RunAsync("handback", "0000:03:00.0", "0000:04:00.0");
        Assert.Equal(6, script.Said.Count(l => l == "= 0"));
        Assert.Contains("disk0 is out.", script.Said);
        Assert.Equal(3, script.Said.Count(l => l == "Everything is as planned."));
        Assert.Contains("first = 0", script.Said);
        Assert.Contains("0000:03:00.0 has nvme", script.Said);
        Assert.Equal(3, script.Said.Count(l => l.Contains(" is back after ", StringComparison.Ordinal) && l.EndsWith("driver none", StringComparison.Ordinal)));

        // The guest used the drive each time.
        Assert.Equal(2, script.Guest("first", "disk-write").Count(l => l.EndsWith(" ok", StringComparison.Ordinal)));
        Assert.Equal(["disk0 True", "disk0 True"], Removed(script, "first"));
        Assert.Single(script.Events("first"), e => Kind(e) == "vfio.path");

        // What sits in no slot goes at once; what sits in one that the guest does not listen to, after a while.
        Assert.Equal(["net0 False", "disk0 False"], Removed(script, "second"));
        Assert.All(script.Events("first").Concat(script.Events("second")).Where(e => Kind(e) == "map.verified"),
            e => Assert.Equal(0, e.GetProperty("count").GetInt32()));
    }

    private static string[] Removed(PassthroughScript script, string run) =>
        [.. script.Events(run).Where(e => Kind(e) == "hotplug.removed")
            .Select(e => $"{e.GetProperty("function").GetString()} {e.GetProperty("orderly").GetBoolean()}")];

    private static string Kind(JsonElement e) => e.GetProperty("event").GetString()!;
}
