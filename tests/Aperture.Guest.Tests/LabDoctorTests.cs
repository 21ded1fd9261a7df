namespace Aperture.Guest.Tests;

/// <summary><c>aperture doctor</c> on a machine whose state is made for it: drivers, access control, limits, an IOMMU that is off.</summary>
public sealed class LabDoctorTests
{
    [Fact]
    public async Task The_lab_is_judged_by_the_state_that_it_is_put_into()
    {
        PassthroughLab lab = await PassthroughLab.RunAsync(
            """
            doctor() { "$aperture" doctor 0000:03:00.0 --for passthrough "$@"; }
            step host "$aperture" doctor 0000:05:00.0 --for passthrough
            bind-vfio 0000:03:00.0 >&2
            step bound doctor
            acs=$(setpci -s 00:10.0 ECAP_ACS+6.w)
            setpci -s 00:10.0 ECAP_ACS+6.w=0000
            step unisolated doctor
            setpci -s 00:10.0 ECAP_ACS+6.w=$acs
            (
                ulimit -l 64
                step limited setpriv --bounding-set=-ipc_lock,-sys_resource --inh-caps=-ipc_lock,-sys_resource "$aperture" doctor 0000:03:00.0 --for passthrough
            )
            step save "$aperture" host --save $scratch/lab.tar.gz
            step captured doctor --host $scratch/lab.tar.gz
            """);
        Says(lab, "host", 0, "should   driver: 0000:05:00.0: held by the host's driver nvme", "passthrough: can be reached; first see");
        Says(lab, "bound", 0, "0000:03:00.0: held by vfio-pci", "good     iommu: The IOMMU is on and translates 48 address bits.",
            "0x001d: SV+ TB- RR+ CR+ UF+ DT-", "good     memlock: A process started here");
        Says(lab, "unisolated", 0, "0000:00:10.0: access control is there and off", "0x0000: SV- TB- RR- CR- UF- DT-");
        Says(lab, "limited", 0, "should   memlock: A process may lock 64K", "lacks CAP_IPC_LOCK");
        Says(lab, "captured", 0, "0000:03:00.0: held by vfio-pci", "good     iommu: The IOMMU is on and translates 48 address bits.",
            "0x001d: SV+ TB- RR+ CR+ UF+ DT-");
    }

    [Fact]
    public async Task A_lab_without_an_IOMMU_is_told_that_nothing_can_be_passed()
    {
        PassthroughLab lab = await PassthroughLab.RunWithoutIommuAsync(
            """
            step off "$aperture" doctor 0000:03:00.0 --for passthrough
            """);
        Says(lab, "off", 1, "cannot   iommu: ", "so the kernel gives 0000:03:00.0 to no guest", "passthrough: cannot be reached as the machine stands: iommu.");
    }

    private static void Says(PassthroughLab lab, string name, int code, params string[] sentences)
    {
        PassthroughStep step = lab[name];

        // Lines are broken at blanks.
        string output = string.Join(' ', step.Output.Split((char[])['\n', ' '], StringSplitOptions.RemoveEmptyEntries));
        Assert.True(step.ExitCode == code, step.Output);
        Assert.All(sentences, sentence =>
            Assert.Contains(string.Join(' ', sentence.Split(' ', StringSplitOptions.RemoveEmptyEntries)), output, StringComparison.Ordinal));
    }
}
