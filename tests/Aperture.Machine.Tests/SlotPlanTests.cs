using Aperture.Configuration;
using Aperture.Machine.Hotplug;
using Aperture.Machine.Tests.Fakes;
using FsCheck;
using FsCheck.Fluent;

namespace Aperture.Machine.Tests;

/// <summary>Which functions of a slot the devices of one request become.</summary>
public sealed class SlotPlanTests : IDisposable
{
    private const string First = "vfio,host=" + SysfsHost.Vf0;
    private const string Third = "vfio,host=" + SysfsHost.Vf1;

    // Functions 0 and 2 of one device of the host, and devices of ours, some with a place.
    private static readonly string[] Devices = [First, Third, "test,id=a", "test,id=b", "test,id=c,addr=00.0", "test,id=d,addr=00.2", "test,id=e,addr=00.3"];
    private readonly SysfsHost _host = new();

    public void Dispose() => _host.Dispose();

    [Theory]
    [InlineData("06:10.0=0 06:10.2=2", First, Third)]
    [InlineData("06:10.0=0 06:10.2=2", Third, First)]
    [InlineData("06:10.2=0", Third)]
    [InlineData("a=0 06:10.2=2", Third, "test,id=a")]
    [InlineData("06:10.2=0 d=3", Third, "test,id=d,addr=00.3")]
    [InlineData("05:00.0=0 06:10.0=1 06:10.2=2", "vfio,host=" + SysfsHost.Nvme, First, Third)]
    [InlineData("a=0 b=1 c=2", "test,id=a", "test,id=b", "test,id=c")]
    public void Functions_of_one_device_of_the_host_keep_their_numbers_and_others_are_counted(string places, params string[] specs) =>
        Assert.Equal(places, Read([specs[0] + ",port=rp0", .. specs[1..]]));

    [Fact]
    public void Of_all_ways_with_a_function_0_it_is_the_one_that_keeps_most_numbers_of_the_host_and_counts_the_others_lowest()
    {
        Gen<string[]> requests = Gen.Shuffle(Devices).SelectMany(all => Gen.Choose(1, all.Length).Select(count => all[..count]));
        Prop.ForAll(requests.ToArbitrary(), specs =>
        {
            string? expected = specs.Length == 1 ? null : Oracle(specs);
            return specs.Length == 1 || Read([.. specs.Select(s => s + ",port=rp0")]) == expected;
        }).Holds(60);
    }

    [Theory]
    [InlineData("say which with port=ID", "test,id=a", "test,id=b")]
    [InlineData("go to the ports rp0 and rp1; one request fills one slot", "test,id=a,port=rp0", "test,id=b,port=rp1")]
    [InlineData("would never be found", "test,id=a,port=rp0,addr=00.1", "test,id=b,addr=00.2")]
    [InlineData("a is there", "test,id=a,port=rp0,addr=00.1", "test,id=b,addr=00.1")]
    [InlineData("a port has only device 00", "test,id=a,port=rp0", "test,id=b,addr=01.0")]
    [InlineData("The id a is used twice", "test,id=a,port=rp0", "test,id=a")]
    [InlineData("is given to the guest twice", First + ",port=rp0", First + ",id=b")]
    [InlineData(
        "more than 8 functions",
        "test,id=a,port=rp0", "test,id=b", "test,id=c", "test,id=d", "test,id=e", "test,id=f", "test,id=g", "test,id=h", "test,id=i")]
    public void What_does_not_go_into_one_slot_is_refused(string words, params string[] specs) =>
        Assert.Contains(words, Assert.Throws<ApertureException>(() => Read(specs)).Message, StringComparison.Ordinal);

    private string Read(params string[] specs)
    {
        SlotPlan plan = SlotPlan.Read(specs, new Dictionary<int, int>(), new MachineConfig(), _host.Read());
        Assert.Equal("rp0", plan.Port);
        return string.Join(" ", plan.Nodes.Select(node => $"{node.Name.Replace("0000:", "", StringComparison.Ordinal)}={node.DeviceFunction}"));
    }

    // Tries all of them.
    private static string Oracle(string[] specs)
    {
        int?[] hosts = [.. specs.Select(s => s == First ? 0 : s == Third ? 2 : (int?)null)];
        int?[] given = [.. specs.Select(s => s.IndexOf("addr=00.", StringComparison.Ordinal) is >= 0 and int at ? s[at + 8] - '0' : (int?)null)];
        IEnumerable<int[]> ways = [[]];
        foreach (int? place in given)
        {
            IEnumerable<int> open = Enumerable.Range(0, 8).Except(given.OfType<int>());
            ways = ways.SelectMany(way => (place is { } one ? [one] : open.Except(way)).Select(next => (int[])[.. way, next]));
        }

        int[] best = ways.Where(way => way.Contains(0)).MinBy(way => (-way.Where((p, i) => p == hosts[i]).Count(), string.Join(",", way)))!;
        string[] names = [.. specs.Select(s => s.StartsWith("vfio", StringComparison.Ordinal) ? s[15..] : s[8..9])];
        return string.Join(" ", best.Zip(names).OrderBy(pair => pair.First).Select(pair => $"{pair.Second}={pair.First}"));
    }
}
