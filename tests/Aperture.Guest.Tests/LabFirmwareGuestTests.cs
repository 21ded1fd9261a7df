namespace Aperture.Guest.Tests;

/// <summary>
/// What unmodified SeaBIOS starts: Debian's kernel, a disk with GRUB, iPXE, memtest86+ and Debian's installer. Each test reads what that guest printed.
/// </summary>
public sealed class LabFirmwareGuestTests
{
    private const string KernelOptions = $"{GuestRun.KernelOptions} aperture.script=none";

    [Theory]
    [InlineData("q35")]
    [InlineData("i440fx")]
    public async Task SeaBIOS_boots_a_disk_through_GRUB_and_Debians_kernel_to_a_login_prompt(string board)
    {
        FirmwareRun run = await FirmwareRun.UntilAsync(
            "login:", "--machine", board, "--firmware", FirmwareRun.SeaBios, "--device",
            $"disk,file={FirmwareRun.Prepared("grub-disk.img")},snapshot=on,bootindex=0", "--memory", "256M");
        Assert.Contains("APERTURE grub pc", run.Serial, StringComparison.Ordinal);
        Assert.Contains("APERTURE up ", run.Serial, StringComparison.Ordinal);
    }

    [Fact]
    public async Task SeaBIOS_starts_the_kernel_of_the_command_line_through_its_option_ROM()
    {
        FirmwareRun run = await FirmwareRun.UntilAsync(
            "APERTURE done", ["--firmware", FirmwareRun.SeaBios, .. FirmwareRun.Kernel(KernelOptions), "--memory", "256M"]);
        Assert.Contains("APERTURE up ", run.Serial, StringComparison.Ordinal);
    }

    [Fact]
    public async Task SeaBIOS_starts_iPXE_which_speaks_an_older_boot_protocol_than_a_direct_boot_takes()
    {
        FirmwareRun run = await FirmwareRun.UntilAsync(
            "iPXE initialising devices...", "--firmware", FirmwareRun.SeaBios, "--kernel", FirmwareRun.Prepared("ipxe.lkrn"), "--memory", "256M");
        Assert.Contains("Booting from ROM", run.Screen, StringComparison.Ordinal);
    }

    [Fact]
    public async Task SeaBIOS_copies_iPXE_from_a_devices_expansion_ROM_and_runs_it_unmodified()
    {
        FirmwareRun run = await FirmwareRun.UntilAsync(
            "No more network devices", "--firmware", FirmwareRun.SeaBios, "--memory", "256M",
            "--device", $"test,id=nic,addr=05.0,bar0=mem32:128K,ids=8086:10d3,rom={FirmwareRun.Prepared("ipxe-e1000e.rom")}");

        // Its first line is of the time when SeaBIOS initialises ROMs, the others of its turn in the boot order.
        Assert.Contains("iPXE (http://ipxe.org) 00:05.0", run.Screen, StringComparison.Ordinal);
        Assert.Contains("Booting from ROM...", run.Screen, StringComparison.Ordinal);
        Assert.Contains("iPXE (PCI 00:05.0) starting execution...ok", run.Screen, StringComparison.Ordinal);
        Assert.Contains("Open Source Network Boot Firmware", run.Screen, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Memtest86_plus_finds_the_memory_and_the_machines_name_and_no_error()
    {
        // Test 6 is some seconds in. The screen is drawn in place, so what is read is a whole screen.
        FirmwareRun run = await FirmwareRun.UntilAsync(
            "Test #6 ", "--firmware", FirmwareRun.SeaBios, "--kernel", FirmwareRun.Prepared("memtest86+x64.bin"), "--cmdline", "nosmp", "--memory", "64M");
        string last = run.Screen[run.Screen.LastIndexOf("Memtest86+", StringComparison.Ordinal)..];
        Assert.Matches(@"Memory +: +63MB", last);
        Assert.Contains("of 63.4MB]", run.Screen, StringComparison.Ordinal);
        Assert.Contains("CPU: 1 Cores 1 Threads", last, StringComparison.Ordinal);
        Assert.Contains("Errors: 0", last, StringComparison.Ordinal);
        Assert.Contains("Aperture Q35 virtual machine", last, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Pinned_BARs_on_the_root_bus_and_behind_a_port_follow_SeaBIOS_and_are_the_plan_s_for_Linux() =>
        PinnedMachine.AssertPinsTakenOver(await FirmwareRun.UntilAsync(
        "APERTURE done",
        ["--firmware", FirmwareRun.SeaBios, "--memory", "512M", .. PinnedMachine.Options, .. FirmwareRun.Kernel(PinnedMachine.KernelOptions)]));

    [Fact]
    public async Task Debians_installer_reaches_its_first_dialog()
    {
        // Its dialogs name their priority between brackets.
        FirmwareRun run = await FirmwareRun.UntilAsync(
            "[!!]", "--firmware", FirmwareRun.SeaBios, "--kernel", FirmwareRun.Prepared("installer-vmlinuz"), "--initramfs",
            FirmwareRun.Prepared("installer-initrd.gz"),
            "--cmdline", "console=ttyS0 quiet lpj=1000000 tsc=reliable no_timer_check mitigations=off", "--memory", "768M");
        Assert.Contains("SeaBIOS", run.Screen, StringComparison.Ordinal);
    }
}
