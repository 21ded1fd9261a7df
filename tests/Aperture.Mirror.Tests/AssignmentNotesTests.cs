using Aperture.Host;
using Aperture.Host.Model;

namespace Aperture.Mirror.Tests;

/// <summary>What keeps a device with the host is told before a guest is started.</summary>
public class AssignmentNotesTests
{
    [Fact]
    public void A_direct_region_and_the_other_members_drivers_are_told()
    {
        using TemporaryFolder scratch = new();
        string root = scratch.Path;
        foreach ((string address, string driver, int group) in ((string, string, int)[])[
            ("0000:00:02.0", "vfio-pci", 17), ("0000:00:02.1", "snd_hda_intel", 17), ("0000:00:03.0", "nvme", 18)])
        {
            string place = Path.Join(root, "sys/bus/pci/devices", address);
            Directory.CreateDirectory(place);
            File.WriteAllBytes(Path.Join(place, "config"), SyntheticHost.Header(0x10DE, 0x2330, 0x030200));
            File.CreateSymbolicLink(Path.Join(place, "driver"), "../../../drivers/" + driver);
            File.CreateSymbolicLink(Path.Join(place, "iommu_group"), $"../../../../kernel/iommu_groups/{group}");
            Directory.CreateDirectory(Path.Join(root, $"sys/kernel/iommu_groups/{group}/devices"));
        }

        File.WriteAllText(Path.Join(root, "sys/kernel/iommu_groups/17/reserved_regions"),
            "0x00000000bdf83000 0x00000000bdf84fff direct\n0x00000000fee00000 0x00000000feefffff msi\n");
        File.WriteAllText(Path.Join(root, "sys/kernel/iommu_groups/18/reserved_regions"), "0x00000000bdf83000 0x00000000bdf84fff direct-relaxable\n");
        HostMachine host = HostReader.Read(root);
        IReadOnlyList<string> notes = AssignmentNotes.For(host, [host.Functions[0], host.Functions[2]]);
        Assert.Equal(2, notes.Count);
        Assert.StartsWith("The kernel does not assign 0000:00:02.0: the firmware keeps 0xbdf83000-0xbdf84fff for IOMMU group 17", notes[0],
            StringComparison.Ordinal);
        Assert.Contains("Linux 6.6", notes[0], StringComparison.Ordinal);
        Assert.Contains("0000:00:02.1 (snd_hda_intel)", notes[1], StringComparison.Ordinal);
        Assert.Contains(Check.Plan(host, "00:02.0").Notes, note => note == notes[0]);
    }
}
