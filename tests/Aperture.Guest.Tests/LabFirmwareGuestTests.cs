namespace Aperture.Guest.Tests;

/// <summary>What unmodified SeaBIOS starts: Debian's kernel, a disk with GRUB, iPXE, memtest86+ and Debian's installer. Each test reads what that guest printed.</summary>
public sealed class LabFirmwareGuestTests
{
    private const string KernelOptions = $"{GuestRun.KernelOptions} aperture.script=none";

    [Theory]
    [InlineData("q35")]
    [InlineData("i440fx")]
    public void SeaBIOS_boots_a_disk_through_GRUB_and_Debians_kernel_to_a_login_prompt(string board)
    {
        FirmwareRun run = FirmwareRun.Until(
            "login:", "--machine", board, "--firmware", FirmwareRun.SeaBios, "--device", $"disk,file={FirmwareRun.Prepared("grub-disk.img")},snapshot=on,bootindex=0", "--memory", "256M");
        Assert.Contains("APERTURE grub pc", run.Serial, StringComparison.Ordinal);
        Assert.Contains("APERTURE up ", run.Serial, StringComparison.Ordinal);
    }

    [Fact]
    public void SeaBIOS_starts_the_kernel_of_the_command_line_through_its_option_ROM()
    {
        FirmwareRun run = FirmwareRun.Until(
            "APERTURE done", "--firmware", FirmwareRun.SeaBios, "--kernel", FirmwareRun.Prepared("guest-vmlinuz"), "--initramfs", FirmwareRun.Prepared("guest-initramfs.cpio.gz"),
            "--cmdline", KernelOptions, "--memory", "256M");
        Assert.Contains("APERTURE up ", run.Serial, StringComparison.Ordinal);
    }

    [Fact]
    public void SeaBIOS_starts_iPXE_which_speaks_an_older_boot_protocol_than_a_direct_boot_takes()
    {
        FirmwareRun run = FirmwareRun.Until("iPXE initialising devices...", "--firmware", FirmwareRun.SeaBios, "--kernel", FirmwareRun.Prepared("ipxe.lkrn"), "--memory", "256M");
        Assert.Contains("Booting from ROM", run.Screen, StringComparison.Ordinal);
    }

    [Fact]
    public void Debians_installer_reaches_its_first_dialog()
    {
        // Its dialogs name their priority between brackets.
        FirmwareRun run = FirmwareRun.Until(
            "[!!]", "--firmware", FirmwareRun.SeaBios, "--kernel", FirmwareRun.Prepared("installer-vmlinuz"), "--initramfs", FirmwareRun.Prepared("installer-initrd.gz"),
            "--cmdline", "console=ttyS0 quiet lpj=1000000 tsc=reliable no_timer_check mitigations=off", "--memory", "768M");
        Assert.Contains("SeaBIOS", run.Screen, StringComparison.Ordinal);
    }
}
