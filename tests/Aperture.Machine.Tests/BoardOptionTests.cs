using Aperture.Configuration;
using Aperture.Machine.Tests.Fakes;
using Aperture.Machine.Topology;

namespace Aperture.Machine.Tests;

/// <summary>Options that contradict the board that they are for.</summary>
public class BoardOptionTests
{
    private const string Device = "--device test,id=t0,addr=04.0,bar0=mem32:1M:trap,bar2=mem64p:256M:ram,bars=bar0@0xe8000000,bar2@0x3b8000000000";

    [Theory]
    [InlineData("0x3f8", "the first serial port")]
    [InlineData("0x3f5", "the first serial port")]
    [InlineData("0xcfc", "the PCI configuration ports")]
    [InlineData("0x67f", "the ACPI block")]
    [InlineData("0x20", "the interrupt controller")]
    public void A_debug_exit_may_not_take_the_boards_ports(string port, string owner)
    {
        ApertureException refused = Assert.Throws<ApertureException>(() => TestBoard.Direct($"--device debug-exit,port={port}"));
        Assert.Contains(owner, refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_bar_pinned_onto_the_pages_that_KVM_keeps_is_refused()
    {
        PlacementExceptionCheck("--device test,id=a,bar0=mem32:16K:ram,bars=bar0@0xfeffc000");
        using TestBoard below = TestBoard.Direct("--device test,id=a,bar0=mem32:16K:ram,bars=bar0@0xfeff8000");
        Assert.NotNull(below.Host.At(0xFEFF_8000));
    }

    private static void PlacementExceptionCheck(string option)
    {
        ApertureException refused = Assert.Throws<Aperture.Placement.Map.PlacementException>(() => TestBoard.Direct(option));
        Assert.Contains("the pages that KVM keeps for itself", refused.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--root-port id=rp")]
    [InlineData("--switch id=sw,port=rp")]
    public void Ports_of_PCI_Express_are_refused_in_one_sentence(string option)
    {
        string[] parts = option.Split(' ', 2);
        MachineConfig config = ConfigReader.Read([new("--machine", "i440fx"), new(parts[0], parts[1])], boots: false);
        ApertureException refused = Assert.Throws<ApertureException>(() => TopologyBuilder.Build(config));
        Assert.StartsWith(option.Split(',')[0], refused.Message, StringComparison.Ordinal);
        Assert.Contains("--machine q35", refused.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(",policy=stay", "lock, follow or stop")]
    [InlineData(",policy=lock,policy=stop", "given twice")]
    public void An_unknown_policy_is_one_sentence(string option, string words)
    {
        Setting[] settings = [new("--kernel", "k"), new("--device", Device["--device ".Length..] + option)];
        Assert.Contains(words, Assert.Throws<ApertureException>(() => ConfigReader.Read(settings)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_policy_without_a_pin_is_refused()
    {
        Setting[] settings = [new("--kernel", "k"), new("--device", "test,id=t0,bar0=mem32:1M:trap,policy=stop")];
        Assert.Contains("none is pinned", Assert.Throws<ApertureException>(() => ConfigReader.Read(settings)).Message, StringComparison.Ordinal);
    }
}
