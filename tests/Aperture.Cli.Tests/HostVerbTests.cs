using Aperture.Configuration;
using Aperture.Machine;
using Aperture.Machine.Topology;
using Aperture.Placement.Map;

namespace Aperture.Cli.Tests;

/// <summary><c>aperture host</c> and <c>aperture plan --mirror</c> as a user runs them.</summary>
public sealed class HostVerbTests : IDisposable
{
    // One endpoint with a 64-bit prefetchable BAR of 64 GiB, and a neighbour.
    private const string Dump =
        "0000:00:02.0 Display controller: Some vendor\n\tRegion 0: Memory at 380000000000 (64-bit, prefetchable) [size=64G]\n"
        + "00: de 10 30 23 06 00 00 00 00 00 80 03 00 00 00 00\n10: 0c 00 00 00 00 38 00 00 00 00 00 00 00 00 00 00\n20: 00 00 00 00 00 00 00 00 00 00 00 00 "
        + "00 00 00 00\n30: 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00\n\n"
        + "0000:00:03.0 Display controller: Some vendor\n\tRegion 0: Memory at ADDRESS (32-bit, non-prefetchable) [size=1M]\n"
        + "00: de 10 31 23 06 00 00 00 00 00 80 03 00 00 00 00\n10: 00 00 LOW 00 00 00 00 00 00 00 00 00 00 00 00\n20: 00 00 00 00 00 00 00 00 00 00 00 00 00 "
        + "00 00 00\n30: 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00\n\n";

    private readonly TemporaryFolder _folder = new();

    private string Host => Path.Join(_folder.Path, "host.txt");

    public HostVerbTests() => Write("a0000000", "00 a0");

    public void Dispose() => _folder.Dispose();

    private void Write(string address, string low) =>
        File.WriteAllText(Host, Dump.Replace("ADDRESS", address, StringComparison.Ordinal).Replace("LOW", low, StringComparison.Ordinal));

    [Theory]
    [InlineData("table", "2 PCI functions below 1 host bridges")]
    [InlineData("tree", "2 PCI functions below 1 host bridges")]
    [InlineData("json", "{")]
    public void A_dump_is_shown_in_every_format(string format, string start)
    {
        (int code, string output, string errors) = CommandLine.Run("host", "--from", Host, "--format", format);
        Assert.Equal((0, ""), (code, errors));
        Assert.StartsWith(start, output, StringComparison.Ordinal);
        Assert.Contains("0x380000000000", output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("host")]
    [InlineData("plan", "--mirror", "all")]
    public void A_described_machine_is_named_in_two_spellings_with_one_meaning(params string[] verb)
    {
        CommandLine.Result host = CommandLine.Run([.. verb, "--host", Host]);
        Assert.Equal(0, host.Code);
        Assert.Equal(host, CommandLine.Run([.. verb, "--from", Host]));
        CommandLine.Run([.. verb, "--host", Host, "--from", Host]).IsOneSentence(2, "--host", "twice");
    }

    [Theory]
    [InlineData("0000:00:02.0")]
    [InlineData("0000:00:02.0,0000:00:03.0")]
    public void A_mirror_of_named_functions_of_a_described_machine_is_planned_as_run_would_make_it(string functions)
    {
        (int code, string output, string errors) = CommandLine.Run("plan", "--host", Host, "--mirror", functions, "--format", "json");
        Assert.Equal((0, ""), (code, errors));
        MachineConfig config = ConfigReader.Read([new("--mirror", functions), new("--host", Host)], boots: false);
        MachineTopology run = MachineTopology.Of(config, Hypervisors.LimitsOf(46));
        foreach (AssignedPart part in run.Assigned)
        {
            Assert.True(run.Result.Require().TryGetFunction(part.Name, out FunctionPlacement? place));
            Assert.Contains($"\"{part.Name}\"", output, StringComparison.Ordinal);
            Assert.All(place.Bars, bar => Assert.Contains($"\"{bar.Range.Start}\"", output, StringComparison.Ordinal));
        }

        Assert.Equal(functions.Split(',').Length, run.Assigned.Count);
        Assert.DoesNotContain("would be refused", output, StringComparison.Ordinal);
    }

    [Fact]
    public void Where_run_would_refuse_a_described_machines_functions_the_plan_says_so_and_shows_how_they_stand()
    {
        // A function can be given once; where it stands does not depend on that.
        (int code, string output, _) = CommandLine.Run("plan", "--host", Host, "--mirror", "0000:00:02.0", "--device", "vfio,host=0000:00:02.0,id=again");
        Assert.Equal(0, code);
        Assert.Contains("aperture run --mirror 0000:00:02.0 would be refused on that machine: 0000:00:02.0", output, StringComparison.Ordinal);
        Assert.Contains("0x380000000000", output, StringComparison.Ordinal);
    }

    [Fact]
    public void One_function_and_the_distance_of_two_can_be_asked_for()
    {
        (int code, string output, _) = CommandLine.Run("host", "--from", Host, "--function", "00:02.0");
        Assert.Equal(0, code);
        Assert.StartsWith("0000:00:02.0 ", output, StringComparison.Ordinal);
        Assert.DoesNotContain("00:03.0", output, StringComparison.Ordinal);
        (code, output, _) = CommandLine.Run("host", "--from", Host, "--distance", "00:02.0,00:03.0");
        Assert.Equal(0, code);
        Assert.Contains("0000:00:02.0 and 0000:00:03.0", output, StringComparison.Ordinal);
        Assert.Contains("path: 0000:00:02.0 - 0000:00:03.0", output, StringComparison.Ordinal);
        Assert.Contains("ATS of 0000:00:02.0: not known\nATS of 0000:00:03.0: not known\n", output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("there is no function 0000:09:00.0", "host", "--from", "HOST", "--function", "09:00.0")]
    [InlineData("does not name two functions", "host", "--from", "HOST", "--distance", "00:02.0")]
    [InlineData("exclude each other", "host", "--function", "00:02.0", "--distance", "00:02.0,00:03.0")]
    [InlineData("--format svg is not", "host", "--format", "svg")]
    [InlineData("cannot be read", "host", "--from", "/nonexistent/machine.tar")]
    [InlineData("give one of them too, such as --mirror all", "plan", "--host", "HOST")]
    [InlineData("has no function 0000:09:00.0 to mirror", "plan", "--host", "HOST", "--mirror", "09:00.0")]
    [InlineData("--host describes another machine", "run", "--host", "HOST", "--mirror", "all", "--kernel", "/nonexistent/vmlinuz")]
    public void What_cannot_be_answered_is_one_sentence_with_exit_code_2(string part, params string[] words)
    {
        CommandLine.Run([.. words.Select(word => word == "HOST" ? Host : word)]).IsOneSentence(2, part);
    }

    [Theory]
    [InlineData("table", "P2P")]
    [InlineData("tree", "0000:00:02.0")]
    [InlineData("json", "\"peers\"")]
    [InlineData("svg", "<svg ")]
    public void Devices_of_a_described_host_are_planned_in_every_format(string format, string part)
    {
        (int code, string output, string errors) = CommandLine.Run(
            "plan", "--host", Host, "--phys-bits", "46", "--format", format,
            "--device", "vfio,host=0000:00:02.0,bars=all=host", "--device", "vfio,host=0000:00:03.0,id=other,addr=05.0");
        Assert.Equal((0, ""), (code, errors));
        Assert.Contains(part, output, StringComparison.Ordinal);
        Assert.Contains("0x380000000000", output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("no function 0000:00:04.0; did you mean 0000:00:0", "plan", "--host", "HOST", "--device", "vfio,host=00:04.0")]
    [InlineData("there is no option bar=; did you mean bars=?", "plan", "--device", "vfio,host=00:02.0,bar=all")]
    public void A_device_that_cannot_be_planned_is_one_sentence(string part, params string[] words) =>
        CommandLine.Run([.. words.Select(word => word == "HOST" ? Host : word)]).IsOneSentence(2, part);

    [Theory]
    [InlineData("table", "same")]
    [InlineData("tree", "0000:00:02.0")]
    [InlineData("json", "\"notes\"")]
    [InlineData("svg", "<svg ")]
    public void A_mirrored_machine_is_planned_in_every_format(string format, string part)
    {
        (int code, string output, _) = CommandLine.Run("plan", "--host", Host, "--mirror", "all", "--format", format);
        Assert.Equal(0, code);
        Assert.Contains(part, output, StringComparison.Ordinal);
        Assert.Contains("0x380000000000", output, StringComparison.Ordinal);
    }

    [Fact]
    public void Too_few_address_bits_are_a_conflict_that_names_the_bar()
    {
        (int code, string output, string errors) = CommandLine.Run("plan", "--host", Host, "--mirror", "all", "--phys-bits", "40");
        Assert.Equal((2, ""), (code, output));
        Assert.StartsWith("aperture: 0000:00:02.0 bar0 (mem64p, 64G) cannot be pinned at 0x380000000000", errors, StringComparison.Ordinal);
        string sentence = errors.Split('\n')[0]["aperture: ".Length..];
        Assert.Single(errors.Split('\n'), line => line.Contains(sentence, StringComparison.Ordinal));
    }

    [Fact]
    public void The_address_width_for_devices_of_a_described_host_is_what_that_host_needs()
    {
        (int code, string output, string errors) = CommandLine.Run("plan", "--host", Host, "--device", "vfio,host=0000:00:02.0,bars=all=host");
        Assert.Equal((0, ""), (code, errors));
        Assert.Contains("46 physical address bits, what the addresses of ", output, StringComparison.Ordinal);
        (code, output, errors) = CommandLine.Run("plan", "--host", Host, "--device", "vfio,host=0000:00:02.0", "--device", "test,id=t,bar0=mem64p:256T:ram");
        Assert.Equal((0, ""), (code, errors));
        Assert.Contains("51 physical address bits, what the addresses of ", output, StringComparison.Ordinal);
    }

    [Fact]
    public void A_machine_that_contradicts_itself_is_shown_with_the_error_and_not_mirrored()
    {
        File.AppendAllText(Host, File.ReadAllText(Host).Split("\n\n")[1].Replace("00:03.0", "00:04.0", StringComparison.Ordinal) + "\n\n");
        (int code, string output, string errors) = CommandLine.Run("host", "--from", Host);
        Assert.Equal(0, code);
        Assert.NotEmpty(output);
        Assert.StartsWith("aperture: error: bar0 of 0000:00:04.0", errors, StringComparison.Ordinal);
        CommandLine.Run("plan", "--host", Host, "--mirror", "all").IsOneSentence(2, "bar0 of 0000:00:04.0");
    }
}
