using System.Text.Json;
using Aperture.TestKit.Parts.Hosts;

namespace Aperture.Cli.Tests;

/// <summary><c>aperture doctor</c> as a user runs it.</summary>
public sealed class DoctorVerbTests : IDisposable
{
    private readonly TreeBuilder _tree = new();

    public DoctorVerbTests()
    {
        string place = _tree.Function(
            "pci0000:00", "0000:00:03.0", new ConfigBuilder(classCode: 0x020000).Capability(0x11, 0, 0, 0, 0).U32(0x10, 0xA000_0000).Bytes,
            TreeBuilder.Lines(TreeBuilder.Line(0xA000_0000, 1 << 20, 0x40200)));
        _tree.File(place + "/reset_method", "flr\n");
        _tree.Link(place + "/driver", "/sys/bus/pci/drivers/e1000e");
        _tree.Link(place + "/iommu_group", "../../../kernel/iommu_groups/3");
        _tree.Link("kernel/iommu_groups/3/devices/0000:00:03.0", "../../../../" + place);
        _tree.File("kernel/iommu_groups/3/reserved_regions", "0x00000000fee00000 0x00000000feefffff msi\n");
    }

    public void Dispose() => _tree.Dispose();

    [Fact]
    public void A_device_that_can_be_passed_ends_in_exit_code_0()
    {
        CommandLine.Result result = CommandLine.Run("doctor", "00:03.0", "--host", _tree.Root, "--for", "passthrough");
        Assert.Equal((0, ""), (result.Code, result.Error));
        Assert.StartsWith("0000:00:03.0: 1234:5678 Ethernet controller\n", result.Output, StringComparison.Ordinal);
        Assert.Contains("should   driver: 0000:00:03.0: held by the host's driver e1000e", result.Output, StringComparison.Ordinal);
        Assert.EndsWith("\npassthrough: can be reached; first see what should be done (1).\n", result.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void A_device_that_cannot_ends_in_exit_code_1_and_JSON_says_the_same()
    {
        _tree.File("kernel/iommu_groups/3/reserved_regions", "0x00000000000e8000 0x00000000000e8fff direct\n");
        CommandLine.Result result = CommandLine.Run("doctor", "00:03.0", "--for", "passthrough", "--host", _tree.Root);
        Assert.Equal((1, ""), (result.Code, result.Error));
        Assert.Contains("\ncannot   reserved: ", result.Output, StringComparison.Ordinal);
        Assert.EndsWith("\npassthrough: cannot be reached as the machine stands: reserved.\n", result.Output, StringComparison.Ordinal);
        CommandLine.Result json = CommandLine.Run("doctor", "00:03.0", "--host", _tree.Root, "--format", "json");
        Assert.Equal((1, ""), (json.Code, json.Error));
        using JsonDocument document = JsonDocument.Parse(json.Output);
        Assert.Equal("no", document.RootElement.GetProperty("goals").GetProperty("passthrough").GetString());
        Assert.Equal("cannot", document.RootElement.GetProperty("verdicts")[0].GetProperty("kind").GetString());
    }

    [Fact]
    public void A_mirror_is_tried_by_the_solver()
    {
        CommandLine.Result result = CommandLine.Run("doctor", "--for", "mirror", "--host", _tree.Root);
        Assert.Contains("good     map: ", result.Output, StringComparison.Ordinal);
        Assert.Equal((0, ""), (result.Code, result.Error));
    }

    [Theory]
    [InlineData("--for speed is not a goal; write passthrough, p2p, gpudirect, sriov, mirror", "--for", "speed")]
    [InlineData("--format table is not", "--format", "table")]
    [InlineData("'eth0' is not a function", "eth0")]
    [InlineData("there is no function 0000:09:00.0", "09:00.0")]
    [InlineData("no device that is wanted for sriov", "--for", "sriov")]
    public void What_cannot_be_asked_is_one_sentence_with_exit_code_2(string part, params string[] words) =>
        CommandLine.Run(["doctor", "--host", _tree.Root, .. words]).IsOneSentence(2, part);
}
