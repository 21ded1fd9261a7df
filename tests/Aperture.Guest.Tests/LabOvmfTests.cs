using System.Text.Json;
using Aperture.Kvm;

namespace Aperture.Guest.Tests;

/// <summary>Debian's OVMF, unmodified, and what it starts. Each test reads what the guest printed.</summary>
public sealed class LabOvmfTests
{
    private const string Code = "/usr/share/OVMF/OVMF_CODE_4M.fd";
    private const string Variables = "/usr/share/OVMF/OVMF_VARS_4M.fd";

    // OVMF makes page tables for all addresses that the processor has; without 1 GiB pages those of 48 bits fill more than all of this RAM.
    private static readonly string[] s_firmware = ["--firmware", $"{Code},vars={Variables},snapshot=on", "--phys-bits", "40", "--memory", "512M"];

    [Fact]
    public void OVMF_reaches_its_shell_and_stores_its_variables_in_the_flash_bank()
    {
        FirmwareRun run = Boot("Shell>");
        Assert.Contains("UEFI Interactive Shell", run.Serial, StringComparison.Ordinal);
        Assert.Contains(Of(run, "slot.removed"), e => e.GetProperty("region").GetString() == "flash-variables");
    }

    [Fact]
    public void Linux_under_OVMF_reads_every_BAR_where_Aperture_decodes_it()
    {
        FirmwareRun run = Boot(
            "APERTURE done", "--root-port", "id=rp0", "--device", "test,id=t0,port=rp0,bar0=mem32:1M:trap,bar2=mem64p:256M:ram",
            "--kernel", FirmwareRun.Prepared("guest-vmlinuz"), "--initramfs", FirmwareRun.Prepared("guest-initramfs.cpio.gz"),
            "--cmdline", $"{GuestRun.KernelOptions} aperture.ids=a9e7:0001");
        string[] read = [.. run.Serial.Split('\n').Select(l => l.Trim()).Where(l => l.StartsWith("APERTURE bar ", StringComparison.Ordinal))];
        Assert.NotEmpty(read);
        foreach (string bar in (string[])["bar0", "bar2"])
        {
            JsonElement decoded = Of(run, "bar.decoded").Last(e => e.GetProperty("function").GetString() == "t0" && e.GetProperty("bar").GetString() == bar);
            ulong address = Convert.ToUInt64(decoded.GetProperty("address").GetString(), 16);
            Assert.Contains(read, l => l.Contains($" {bar[3]} 0x{address:x16} ", StringComparison.Ordinal));
        }

        Assert.Contains(run.Serial.Split('\n'), l => l.StartsWith("APERTURE touched ", StringComparison.Ordinal) && l.Trim().EndsWith(" 0", StringComparison.Ordinal));
    }

    [Fact]
    public void OVMF_boots_the_disk_that_SeaBIOS_boots_to_a_login_prompt()
    {
        FirmwareRun run = Boot("login:", "--device", $"disk,file={FirmwareRun.Prepared("grub-disk.img")},snapshot=on,bootindex=0");
        Assert.Contains("APERTURE grub efi", run.Serial, StringComparison.Ordinal);
    }

    private static FirmwareRun Boot(string last, params string[] arguments)
    {
        Assert.SkipUnless(
            KvmSystem.Probe64Bit().Runs64Bit, "the lab's QEMU ends on an assertion when a guest writes CR8 while an interrupt waits, which OVMF's timer handler does (docs/lab.md)");
        Assert.SkipUnless(File.Exists(Code), $"{Code} is not installed (package ovmf)");
        return FirmwareRun.Until(last, [.. s_firmware, .. arguments]);
    }

    private static IEnumerable<JsonElement> Of(FirmwareRun run, string kind) => run.Events.Where(e => e.GetProperty("event").GetString() == kind);
}
