using System.Diagnostics;
using System.Text.Json;

namespace Aperture.Cli.Tests;

/// <summary><c>aperture map</c> and the counts at the end of a run, of a guest that does a known number of accesses.</summary>
public sealed class MapVerbTests(Scratch scratch) : IClassFixture<Scratch>
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    [Fact]
    public async Task A_running_machines_map_says_how_often_each_region_was_accessed()
    {
        try
        {
            Kvm.KvmSystem.Open().Dispose();
        }
        catch (ApertureException failure)
        {
            Assert.Skip(failure.Message);
        }

        CancellationToken cancelled = TestContext.Current.CancellationToken;
        string socket = scratch.Path("map.sock");
        string events = scratch.Path("map.events");
        using Process run = new()
        {
            StartInfo = new ProcessStartInfo(
                CommandLine.Program, ["run", "--firmware", scratch.Spins(), "--serial", "stdio", "--control", socket, "--events", events, "--memory", "16M"])
            {
                RedirectStandardOutput = true,
                RedirectStandardInput = true,
            },
        };
        run.Start();
        try
        {
            Assert.Equal("ready", await run.StandardOutput.ReadLineAsync(cancelled).AsTask().WaitAsync(Patience, cancelled));
            CommandLine.Result json = CommandLine.Run("map", "--control", socket, "--format", "json");
            Assert.Equal((0, ""), (json.Code, json.Error));
            using JsonDocument answer = JsonDocument.Parse(json.Output);
            JsonElement[] regions = [.. answer.RootElement.GetProperty("regions").EnumerateArray()];
            JsonElement serial = Assert.Single(regions, r => r.GetProperty("space").GetString() == "ports" && r.GetProperty("address").GetString() == "0x3f8");
            Assert.Equal(("trapped", "handler", 0, 6), (Text(serial, "kind"), Text(serial, "backing"), Number(serial, "reads"), Number(serial, "writes")));
            JsonElement firmware = Assert.Single(regions, r => Text(r, "region") == "firmware");
            Assert.Equal(("rom", "slot"), (Text(firmware, "kind"), Text(firmware, "backing")));
            CommandLine.Result table = CommandLine.Run("map", "--control", socket);
            Assert.Equal((0, ""), (table.Code, table.Error));
            Assert.Matches(@"0x3f8-0x3ff +8 +\S+ +trapped +handler +0 +6\n", table.Output);
            CommandLine.Start("kill", $"{run.Id}");
            Assert.True(run.WaitForExit(Patience));
        }
        finally
        {
            if (!run.HasExited)
            {
                run.Kill(entireProcessTree: true);
                run.WaitForExit();
            }
        }

        string totals = Assert.Single(await File.ReadAllLinesAsync(events, cancelled), l => l.Contains("\"machine.totals\"", StringComparison.Ordinal));
        using JsonDocument end = JsonDocument.Parse(totals);
        Assert.Equal(6, end.RootElement.GetProperty("regions").EnumerateArray().Where(r => Text(r, "space") == "ports").Sum(r => Number(r, "writes")));
    }

    [Fact]
    public void Pages_that_come_at_a_touch_have_a_table_of_their_own()
    {
        const string Answer = """
            {"regions":[],"unclaimed":{"memory":{"reads":0,"writes":0},"ports":{"reads":0,"writes":0}},"granted":[{"address":"0xe0100000","size":"0x8000",
            "region":"part bar2","touches":3,"grants":1,"revocations":0,"refusals":2,"pages":[
            {"address":"0xe0102000","size":"0x1000","source":1,"source_offset":"0x5000","access":"read-write"},
            {"address":"0xe0106000","size":"0x1000","access":"refused"}]}]}
            """;
        using JsonDocument answer = JsonDocument.Parse(Answer);
        string table = Verbs.MapVerb.Table(answer.RootElement);
        Assert.Matches(@"GRANTED +SIZE +REGION +FROM +ACCESS +TOUCHES +GRANTS +REVOKED +REFUSED\n", table);
        Assert.Matches(@"\n0xe0100000-0xe0107fff +32K +part bar2 +3 +1 +0 +2\n", table);
        Assert.Matches(@"\n  0xe0102000-0xe0102fff +4K +1\+0x5000 +read-write *\n", table);
        Assert.Matches(@"\n  0xe0106000-0xe0106fff +4K +refused *\n", table);
        using JsonDocument without = JsonDocument.Parse(Answer.Replace("\"granted\":[{", "\"others\":[{", StringComparison.Ordinal));
        Assert.DoesNotContain("GRANTED", Verbs.MapVerb.Table(without.RootElement), StringComparison.Ordinal);
    }

    private static int Number(JsonElement element, string name) => element.GetProperty(name).GetInt32();

    private static string Text(JsonElement element, string name) => element.GetProperty(name).GetString()!;
}
