namespace Aperture.Cli.Tests;

/// <summary><c>plan --emit</c>: another monitor's configuration on standard output.</summary>
public sealed class EmitTests
{
    private static readonly string[] Machine = ["--root-port", "id=rp0", "--device", "test,id=t0,port=rp0,bar0=mem32:1M:trap"];

    [Theory]
    [InlineData("qemu", "exec qemu-system-x86_64")]
    [InlineData("xl", "mmio_hole = ")]
    [InlineData("libvirt", "</domain>")]
    [InlineData("cloud-hypervisor", "--pci-segment")]
    [InlineData("openvmm", "--pcie-root-complex")]
    public void A_plan_is_written_for_each_monitor(string monitor, string mark)
    {
        CommandLine.Result result = CommandLine.Run(["plan", "--emit", monitor, .. Machine]);
        Assert.Equal((0, ""), (result.Code, result.Error));
        Assert.Contains(mark, result.Output, StringComparison.Ordinal);
        Assert.Contains("01:00.0 t0", result.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("is not a monitor", "qemu", "--emit", "bochs")]
    [InlineData("--emit", "--format", "--emit", "qemu", "--format", "tree")]
    [InlineData("--emit", "--explain", "--emit", "qemu", "--explain", "t0/bar0")]
    public void An_emission_that_cannot_be_is_one_sentence(string fault, string hint, params string[] arguments) =>
        CommandLine.Run(["plan", .. arguments, .. Machine]).IsOneSentence(2, fault, hint);
}
