using Aperture.TestKit.Parts.Hosts;

namespace Aperture.Doctor.Tests;

/// <summary>IOMMU, groups, access control, reserved regions: each verdict and its opposite.</summary>
public class IommuTests
{
    [Fact]
    public void An_IOMMU_that_is_on_has_its_width_and_its_registers()
    {
        using Machine machine = new Machine().Build();
        Diagnosis diagnosis = machine.Look(Goals.Passthrough, Machine.Gpu);
        diagnosis.The(VerdictKind.Good, "iommu", "translates 48 address bits", "dmar0 cap=0x8d2078c106f0466");
        Assert.Equal(Reachability.Yes, diagnosis.HasNo(VerdictKind.Cannot, "iommu").Of(Goals.Passthrough));
        Assert.True(diagnosis.CanBeReached);
    }

    [Theory]
    [InlineData("intel_iommu=off", true, "take intel_iommu=off off the kernel's command line")]
    [InlineData("quiet", true, "add intel_iommu=on")]
    [InlineData("quiet", false, "turn on VT-d")]
    public void An_IOMMU_that_is_off_says_who_turned_it_off(string words, bool described, string change)
    {
        using Machine machine = new Machine().Build().File("proc/cmdline", words);
        machine.Without("sys/kernel/iommu_groups").File("sys/kernel/iommu_groups/keep", "").Without("sys/kernel/iommu_groups/keep");
        machine.Lacking(Machine.Gpu, "iommu_group");
        foreach (string other in (string[])[Machine.Nic, Machine.Drive])
        {
            machine.Lacking(other, "iommu_group");
        }

        if (!described)
        {
            machine.Without("sys/firmware/acpi/tables/DMAR");
        }

        Diagnosis diagnosis = machine.Look(Goals.Passthrough, Machine.Gpu);
        diagnosis.The(VerdictKind.Cannot, "iommu", change, described ? "tables has DMAR" : "neither DMAR");
        Assert.Equal(Reachability.No, diagnosis.Of(Goals.Passthrough));
        Assert.False(diagnosis.CanBeReached);
    }

    [Fact]
    public void What_is_not_told_of_the_IOMMU_leaves_the_goal_open()
    {
        using Machine machine = new Machine().Build().File("proc/cmdline", "quiet\n");
        machine.Without("sys/kernel").Lacking(Machine.Gpu, "iommu_group").Lacking(Machine.Nic, "iommu_group").Lacking(Machine.Drive, "iommu_group");
        Diagnosis diagnosis = machine.Look(Goals.Passthrough, Machine.Gpu);
        diagnosis.The(VerdictKind.Unknown, "iommu", "no /sys/kernel/iommu_groups", "has no intel_iommu=on", "aperture host --save");
        Assert.Equal(Reachability.Unknown, diagnosis.Of(Goals.Passthrough));
        Assert.False(diagnosis.CanBeReached);
    }

    [Fact]
    public void Interrupts_that_are_not_remapped_keep_every_device_unless_the_kernel_was_told_otherwise()
    {
        using Machine machine = new Machine().Build().File("sys/class/iommu/dmar0/intel-iommu/ecap", "f050d2\n");
        machine.Look(Goals.Passthrough, Machine.Gpu).The(VerdictKind.Cannot, "iommu", "ecap=0xf050d2, bit 3 is 0");
        machine.File("sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts", "Y\n");
        Diagnosis told = machine.Look(Goals.Passthrough, Machine.Gpu).HasNo(VerdictKind.Cannot, "iommu");
        told.The(VerdictKind.Should, "iommu", "allow_unsafe_interrupts=Y");
    }

    [Fact]
    public void A_group_goes_as_a_whole()
    {
        using Machine machine = new Machine().Build();
        machine.Look(Goals.Passthrough, Machine.Gpu).The(VerdictKind.Good, "group", "alone in its group");
        machine.Group(10, Machine.Nic);
        Verdict held = machine.Look(Goals.Passthrough, Machine.Gpu).The(VerdictKind.Cannot, "group", "0000:04:00.0 (mlx5_core)",
            "echo 0000:04:00.0 > /sys/bus/pci/devices/0000:04:00.0/driver/unbind");
        Assert.Equal([Say.Address(Machine.Gpu)], held.Functions);
        machine.Driver(Machine.Nic, "vfio-pci");
        machine.Look(Goals.Passthrough, Machine.Gpu).HasNo(VerdictKind.Cannot, "group").The(VerdictKind.Note, "group", "to one guest");
        machine.Driver(Machine.Nic, "mlx5_core");
        machine.Look(Goals.Passthrough, Machine.Gpu, Machine.Nic).HasNo(VerdictKind.Cannot, "group").The(VerdictKind.Note, "group", "are one group (10)");
    }

    [Fact]
    public void Ports_of_a_group_do_not_count()
    {
        using Machine machine = new Machine().Build().Group(10, Machine.GpuPort);
        machine.Look(Goals.Passthrough, Machine.Gpu).The(VerdictKind.Good, "group", "alone");
    }

    [Fact]
    public void Access_control_is_told_for_every_port_above()
    {
        using Machine on = new Machine().Build();
        on.Look(Goals.Passthrough, Machine.Gpu).The(VerdictKind.Good, "acs", "0000:00:01.0, 0000:02:00.0", "0x001d");
        using Machine off = new Machine { SwitchAcs = 0 }.Build();
        off.Look(Goals.Passthrough, Machine.Gpu).The(VerdictKind.Note, "acs", "0000:02:00.0: access control is there and off", "groups of their own");
        off.Group(10, Machine.Nic);
        off.Look(Goals.Passthrough, Machine.Gpu).The(VerdictKind.Should, "acs", "pci=config_acs=xx111x1@0000:02:00.0");
        using Machine none = new Machine { SwitchAcs = null }.Build();
        none.Look(Goals.Passthrough, Machine.Gpu).The(VerdictKind.Note, "acs", "no access control that could", "has no ACS capability");
        using Machine dark = new Machine { Shown = 64 }.Build();
        dark.Look(Goals.Passthrough, Machine.Gpu).The(VerdictKind.Unknown, "acs", "64 bytes of config");
    }

    [Fact]
    public void Memory_that_the_firmware_keeps_keeps_the_device()
    {
        using Machine machine = new Machine().Build();
        machine.Look(Goals.Passthrough, Machine.Gpu).The(VerdictKind.Good, "reserved", "nothing but the MSI window");
        string regions = "sys/kernel/iommu_groups/10/reserved_regions";
        const string Msi = "0x00000000fee00000 0x00000000feefffff msi\n";
        machine.File(regions, Msi + "0x00000000bdf83000 0x00000000bdf84fff direct\n");
        machine.Look(Goals.Passthrough, Machine.Gpu).The(VerdictKind.Cannot, "reserved", "0xbdf83000-0xbdf84fff direct", "USB legacy support");
        machine.File("sys/class/dmi/id/sys_vendor", "HP\n").File("sys/class/dmi/id/product_name", "ProLiant DL380p Gen8\n");
        machine.Look(Goals.Passthrough, Machine.Gpu).The(VerdictKind.Cannot, "reserved", "product_name=ProLiant DL380p Gen8", "c04781229");
        machine.File(regions, Msi + "0x00000000bdf83000 0x00000000bdf84fff direct-relaxable\n");
        machine.Look(Goals.Passthrough, Machine.Gpu).The(VerdictKind.Good, "reserved", "gives up when the device is assigned");
        machine.File(regions, Msi + "0x000000fd00000000 0x000000ffffffffff reserved\n");
        machine.Look(Goals.Passthrough, Machine.Gpu).The(VerdictKind.Note, "reserved", "neither RAM nor BARs");
        machine.File(regions, "");
        machine.Look(Goals.Passthrough, Machine.Gpu).The(VerdictKind.Unknown, "reserved", "is not known");
    }
}
