using System.Diagnostics;
using Aperture.Host.Capture;
using Aperture.Host.Model;
using Aperture.Host.Reports;
using Aperture.TestKit.Parts.Hosts;

namespace Aperture.Host.Tests;

public class CaptureTests
{
    private static string Json(HostMachine machine)
    {
        using MemoryStream output = new();
        HostJson.Write(output, machine);
        string text = System.Text.Encoding.UTF8.GetString(output.ToArray());

        // Where it came from is what differs.
        return text[text.IndexOf("\"hostBridges\"", StringComparison.Ordinal)..];
    }

    private static byte[] Capture(string root, out HostCaptureSummary summary)
    {
        using MemoryStream output = new();
        summary = HostCapture.Write(root, output);
        return output.ToArray();
    }

    private static TreeBuilder Machine(string sys = "sys")
    {
        TreeBuilder tree = new(sys);
        string port = tree.Function("pci0000:00", "0000:00:01.0", ConfigBuilder.Bridge(1, 1, HostPortType.RootPort, 0xE000_0000, 2 << 20).Acs(0x1D).Bytes);
        string endpoint = tree.Function(
            "pci0000:00/0000:00:01.0", "0000:01:00.0", new ConfigBuilder().Bar32(0, 0xE000_0000).Express(HostPortType.Endpoint).Bytes,
            TreeBuilder.Lines(TreeBuilder.Line(0xE000_0000, 1 << 20, 0x40200)));
        tree.File("bus/pci/devices/10001:00:00.0/config", new ConfigBuilder(64).Bytes);
        tree.Link(endpoint + "/driver", "../../../../bus/pci/drivers/vfio-pci");
        tree.Link(endpoint + "/iommu_group", "../../../../kernel/iommu_groups/4");
        tree.File(port + "/numa_node", "1\n");
        tree.File("kernel/iommu_groups/4/reserved_regions", "0x00000000fee00000 0x00000000feefffff msi\n");
        tree.Link("kernel/iommu_groups/4/devices/0000:01:00.0", "../../../../" + endpoint);
        tree.File("devices/system/node/node1/cpulist", "0-7\n");
        tree.File("devices/system/node/node1/meminfo", "Node 1 MemTotal:       2048 kB\n");
        return tree;
    }

    [Theory]
    [InlineData("sys")]
    [InlineData("")]
    public void A_capture_reads_back_as_the_machine_it_was_made_of(string sys)
    {
        using TreeBuilder tree = Machine(sys);
        byte[] archive = Capture(tree.Root, out HostCaptureSummary summary);
        Assert.Equal(new HostCaptureSummary(3, 2, 1), summary);
        HostMachine back = Archive.Read(archive);
        Assert.Equal(Json(tree.Read()), Json(back));
        Assert.Equal(tree.Read().Functions.Select(static f => Convert.ToHexString(f.Config.Span)),
            back.Functions.Select(static f => Convert.ToHexString(f.Config.Span)));
    }

    [Fact]
    public void Two_captures_of_one_machine_are_one_file()
    {
        using TreeBuilder tree = Machine();
        Assert.Equal(Capture(tree.Root, out _), Capture(tree.Root, out _));
    }

    [Fact]
    public void A_capture_that_fails_leaves_what_was_there()
    {
        using TreeBuilder tree = Machine();
        string path = Path.Join(tree.Root, "saved.tar.gz");
        HostCapture.Save(tree.Root, path);
        byte[] before = File.ReadAllBytes(path);
        tree.File("devices/pci0000:00/0000:00:01.0/config", new byte[5000]);
        Say.Refusal(() => HostCapture.Save(tree.Root, path));
        Assert.Equal(before, File.ReadAllBytes(path));
        Assert.Empty(Directory.GetFiles(tree.Root, "*.partial"));
        Assert.Contains("cannot be written", Say.Refusal(() => HostCapture.Save(tree.Root, Path.Join(tree.Root, "none", "saved"))));
    }

    [Fact]
    public void A_link_stays_and_the_file_that_it_leads_to_is_replaced()
    {
        using TreeBuilder tree = Machine();
        string target = Path.Join(tree.Root, "real.tar.gz");
        string link = Path.Join(tree.Root, "link.tar.gz");
        foreach (bool exists in (bool[])[false, true])
        {
            if (exists)
            {
                File.WriteAllText(target, "before");
            }
            else
            {
                File.CreateSymbolicLink(link, "real.tar.gz");
            }

            HostCapture.Save(tree.Root, link);
            Assert.Equal("real.tar.gz", new FileInfo(link).LinkTarget);
            Assert.Equal(Capture(tree.Root, out _), File.ReadAllBytes(target));
        }

        Assert.Empty(Directory.GetFiles(tree.Root, "*.partial"));
    }

    [Fact]
    public void What_is_no_ordinary_file_is_written_and_stays_what_it_is()
    {
        using TreeBuilder tree = Machine();
        string link = Path.Join(tree.Root, "null");
        File.CreateSymbolicLink(link, "/dev/null");
        Assert.Equal(3, HostCapture.Save(tree.Root, link).Functions);
        Assert.Equal("/dev/null", new FileInfo(link).LinkTarget);

        // Through a name that root could replace.
        string full = Path.Join(tree.Root, "full");
        using Process make = Process.Start("mknod", [full, "c", "1", "7"]);
        make.WaitForExit();
        Assert.SkipUnless(make.ExitCode == 0, "making a device node needs root");
        Assert.Contains("cannot be written", Say.Refusal(() => HostCapture.Save(tree.Root, full)));
        using Process look = Process.Start(new ProcessStartInfo("stat", ["-c", "%F", full]) { RedirectStandardOutput = true })!;
        Assert.Equal("character special file", look.StandardOutput.ReadToEnd().Trim());
        look.WaitForExit();
        Assert.Empty(Directory.GetFiles(tree.Root, "*.partial"));
    }

    [Fact]
    public async Task A_pipe_gets_the_capture()
    {
        using TreeBuilder tree = Machine();
        string pipe = Path.Join(tree.Root, "pipe");
        using Process make = Process.Start("mkfifo", [pipe]);
        await make.WaitForExitAsync(TestContext.Current.CancellationToken);
        Task<byte[]> reader = Task.Run(() => File.ReadAllBytes(pipe), TestContext.Current.CancellationToken);
        HostCapture.Save(tree.Root, pipe);
        Assert.Equal(Capture(tree.Root, out _), await reader);
    }

    [Fact]
    public void A_link_at_the_name_that_a_partial_file_once_had_is_not_followed()
    {
        using TreeBuilder tree = Machine();
        string saved = Path.Join(tree.Root, "saved.tar.gz");
        string victim = Path.Join(tree.Root, "victim");
        File.WriteAllText(victim, "mine");
        File.CreateSymbolicLink(saved + ".partial", victim);
        HostCapture.Save(tree.Root, saved);
        Assert.Equal("mine", File.ReadAllText(victim));
        Assert.Null(new FileInfo(saved).LinkTarget);
    }

    [Fact]
    public void This_machine_round_trips()
    {
        Assert.SkipUnless(Directory.Exists("/sys/bus/pci/devices"), "this machine has no PCI bus");
        HostMachine live = HostReader.ReadLive();
        HostMachine back = Archive.Read(Capture("/", out HostCaptureSummary summary));
        Assert.Equal(live.Functions.Length, summary.Functions);
        Assert.Equal(
            live.Functions.Select(static f => (f.Address, f.Identity, f.Driver, f.NumaNode, string.Join(' ', f.AllBars))),
            back.Functions.Select(static f => (f.Address, f.Identity, f.Driver, f.NumaNode, string.Join(' ', f.AllBars))));
        Assert.Equal(live.KnowsIommuGroups, back.KnowsIommuGroups);
    }
}
