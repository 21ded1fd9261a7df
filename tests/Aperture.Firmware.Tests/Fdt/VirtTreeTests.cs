using Aperture.Firmware.Fdt;
using Aperture.Firmware.Platform;
using Aperture.Firmware.Tests.Acpi;

namespace Aperture.Firmware.Tests.Fdt;

public class VirtTreeTests
{
    private static readonly TreeChoices Everything = new()
    {
        CommandLine = "console=ttyAMA0 quiet",
        Initramfs = SampleMachines.Range(0x4800_0000, 0x12345),
        KeepsPci = true,
        HidesPci = true,
        SaysPciIsDone = true,
        RandomSeed = new byte[32],
        LayoutSeed = 0x0123_4567_89AB_CDEF,
    };

    public static TheoryData<string> Machines => ["small", "large", "wide"];

    [Theory]
    [MemberData(nameof(Machines))]
    public void The_compiler_has_nothing_to_complain_of(string machine)
    {
        Assert.SkipUnless(AcpiTools.Have("dtc"), "dtc is not installed (Debian package device-tree-compiler)");
        using AcpiTools tools = new();
        foreach (TreeChoices choices in (TreeChoices[])[new TreeChoices(), Everything])
        {
            string blob = tools.Save("tree.dtb", FdtWriter.Write(VirtTree.Build(Get(machine), choices)));
            (int code, string output) = tools.Run("dtc", "-I", "dtb", "-O", "dts", "-o", Path.Combine(tools.Folder, "tree.dts"), blob);
            Assert.True(code == 0, output);
            Assert.True(output.Length == 0, output);
        }
    }

    [Fact]
    public void A_guest_finds_its_choices()
    {
        ReadNode root = Read(SampleMachines.Small, Everything);
        ReadNode chosen = root["chosen"];
        Assert.Equal(["console=ttyAMA0 quiet"], chosen.Texts("bootargs"));
        Assert.Equal([0u, 0x4800_0000u], chosen.Cells("linux,initrd-start"));
        Assert.Equal([0u, 0x4801_2345u], chosen.Cells("linux,initrd-end"));
        Assert.Equal([1u], chosen.Cells("linux,pci-probe-only"));
        Assert.Equal([0x0123_4567u, 0x89AB_CDEFu], chosen.Cells("kaslr-seed"));
        Assert.Equal(32, chosen.Properties["rng-seed"].Length);
        Assert.Equal(["/pl011@9000000"], chosen.Texts("stdout-path"));
        Assert.Equal(["disabled"], root["pcie@4010000000"].Texts("status"));
        Assert.Equal([1u], root["options/upl-params"].Cells("pci-enum-done"));
    }

    [Fact]
    public void Without_choices_nothing_is_kept_hidden_or_said()
    {
        ReadNode root = Read(SampleMachines.Small, new TreeChoices());
        Assert.Equal(["bootargs", "stdout-path"], root["chosen"].Properties.Keys);
        Assert.DoesNotContain("status", root["pcie@4010000000"].Properties.Keys);
        Assert.DoesNotContain(root.Children, child => child.Name is "options" or "fw-cfg@9020000" or "flash@0" or "pmu");
    }

    [Fact]
    public void The_host_bridge_says_where_its_windows_pins_and_messages_are()
    {
        ReadNode pcie = Read(SampleMachines.Large, new TreeChoices())["pcie@3f000000"];
        Assert.Equal([0u, 0x3F00_0000u, 0u, 0x100_0000u], pcie.Cells("reg"));
        Assert.Equal([0u, 15u], pcie.Cells("bus-range"));
        Assert.Equal([1u], pcie.Cells("linux,pci-domain"));
        Assert.Equal(
            [
                0x0100_0000u, 0, 0, 0, 0x3EFF_0000, 0, 0x1_0000,
                0x0200_0000, 0, 0x1000_0000, 0, 0x1000_0000, 0, 0x1000_0000,
                0x0200_0000, 0, 0x3000_0000, 0, 0x3000_0000, 0, 0x100_0000,
                0x0300_0000, 0x4000, 0, 0x4000, 0, 0x100, 0,
                0x0300_0000, 0x6B80, 0, 0x6B80, 0, 0x80, 0,
            ],
            pcie.Cells("ranges"));

        // The line that the machine of QEMU's tree has for each pin of four devices.
        uint[] map = pcie.Cells("interrupt-map");
        Assert.Equal(160, map.Length);
        uint gic = Read(SampleMachines.Large, new TreeChoices())["intc@8000000"].Cells("phandle")[0];
        foreach ((int index, uint[] entry) in map.Chunk(10).Index())
        {
            uint slot = (uint)index / 4;
            uint pin = (uint)index % 4;
            Assert.Equal([slot << 11, 0, 0, pin + 1, gic, 0, 0, 0, 3 + ((pin + slot) % 4), 4], entry);
        }

        Assert.Equal([0x1800u, 0, 0, 7], pcie.Cells("interrupt-map-mask"));
        uint its = Read(SampleMachines.Large, new TreeChoices())["intc@8000000/msi-controller@8080000"].Cells("phandle")[0];
        Assert.Equal([0u, its, 0, 0x1_0000], pcie.Cells("msi-map"));
        Assert.DoesNotContain("msi-map", Read(SampleMachines.Wide, new TreeChoices())["pcie@4010000000"].Properties.Keys);
    }

    [Fact]
    public void Every_processor_is_there_by_its_affinity()
    {
        ReadNode cpus = Read(SampleMachines.Large, new TreeChoices())["cpus"];
        Assert.Equal(512, cpus.Children.Count);
        Assert.Equal([0x101u], cpus["cpu@101"].Cells("reg"));
        Assert.Equal([1u, 1u], Read(SampleMachines.Wide, new TreeChoices())["cpus/cpu@100000001"].Cells("reg"));
    }

    [Theory]
    [MemberData(nameof(Machines))]
    public void Every_handle_that_is_named_is_somebodys_and_nobody_shares_one(string machine)
    {
        ReadNode root = Read(Get(machine), Everything);
        List<uint> handles = [.. root.All.Where(n => n.Properties.ContainsKey("phandle")).Select(n => n.Cells("phandle")[0])];
        Assert.Equal(handles.Count, handles.Distinct().Count());
        Assert.Contains(root.Cells("interrupt-parent")[0], handles);
        Assert.All(root.All.Where(n => n.Properties.ContainsKey("clocks")), n => Assert.All(n.Cells("clocks"), handle => Assert.Contains(handle, handles)));
        Assert.Contains(root["gpio-keys/poweroff"].Cells("gpios")[0], handles);
    }

    internal static VirtDescription Get(string machine) => machine switch
    {
        "small" => SampleMachines.Small,
        "large" => SampleMachines.Large,
        _ => SampleMachines.Wide,
    };

    private static ReadNode Read(VirtDescription machine, TreeChoices choices) => FdtReader.Read(FdtWriter.Write(VirtTree.Build(machine, choices))).Root;
}
