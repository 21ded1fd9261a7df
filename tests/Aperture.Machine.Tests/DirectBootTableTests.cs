using Aperture.Configuration;
using Aperture.TestKit.Parts.Acpi;
using Aperture.TestKit.Parts.Kernels;

namespace Aperture.Machine.Tests;

/// <summary>The tables that a directly booted guest of each board gets.</summary>
public class DirectBootTableTests
{
    [Theory]
    [InlineData("q35", "--cpus 4")]
    [InlineData("q35", "--memory 8G", "--root-port id=rp,memory=16M", "--device test,id=a,port=rp,bar0=mem64p:1G:ram", "--device vga")]
    [InlineData("i440fx", "--cpus 2", "--device test,id=a,bar0=mem32:1M:trap,bar4=io:64")]
    public void The_firmware_test_suite_finds_no_fault_in_them(string board, params string[] options)
    {
        FirmwareSuite.Require();
        using TemporaryFile kernel = new(SyntheticKernels.Elf(wide: true));
        using MachinePlan plan = MachinePlan.Create(
            ConfigReader.Read(
            [
                new("--machine", board), new("--kernel", kernel.Path),
                .. options.Select(o => o.Split(' ', 2)).Select(o => new Setting(o[0], o[1])),
            ]),
            Hypervisors.LimitsOf(46));
        FirmwareSuite.Passes(plan.Boot!.Tables);
    }
}
