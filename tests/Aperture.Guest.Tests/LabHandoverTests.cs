using System.Text.Json;

namespace Aperture.Guest.Tests;

/// <summary>The handover from firmware to operating systems that take it, or do not.</summary>
public sealed class LabHandoverTests
{
    // The NVMe drive's BAR 0 is pinned where the lab's machine has it; OVMF boots from the drive by its own address.
    [Theory]
    [InlineData(OvmfImage.For32Bit)]
    [InlineData(OvmfImage.For64Bit)]
    public async Task OVMF_boots_a_pinned_assigned_drive_by_its_own_address_and_Linux_finds_it_at_the_host_s(string build)
    {
        PassthroughLab lab = await BootDriveAsync(OvmfImage.Find(build));
        PassthroughStep boot = lab["boot"];
        Assert.True(boot.ExitCode == 0, lab.All);
        Assert.Contains("APERTURE grub efi", boot.Output, StringComparison.Ordinal);
        Assert.Contains("login:", boot.Output, StringComparison.Ordinal);
        string host = lab["host"].Output.Trim()[^8..];
        JsonElement bar = Assert.Single(Handover(lab["events"]), b => b.GetProperty("bar").GetString() == "bar0");
        Assert.Equal($"0x{host}", bar.GetProperty("address").GetString());
        Assert.NotEqual($"0x{host}", bar.GetProperty("firmware").GetString());
        Assert.NotEqual("0x0", bar.GetProperty("firmware").GetString());
        string seen = Assert.Single(boot.Lines("bar"), b => b[1] == "0000:01:00.0" && b[2] == "0")[3];
        Assert.Equal($"0x00000000{host}", seen);
    }

    [Fact]
    public async Task A_pinned_64_GiB_BAR_is_in_64_bit_OVMF_s_window_first_and_at_its_pin_for_Linux()
    {
        FirmwareRun run = await OvmfImage.Find(OvmfImage.For64Bit).BootAsync(
            "APERTURE done",
            [
                "--phys-bits", "46", "--device", "test,id=big,addr=05.0,bar0=mem32:1M:trap,bar2=mem64p:64G:trap,bars=bar2@0x1000000000",
                .. FirmwareRun.Kernel(PinnedMachine.KernelOptions),
            ]);
        JsonElement bar = Assert.Single(
            Assert.Single(run.EventsOf("handover")).GetProperty("bars").EnumerateArray(),
            b => b.GetProperty("function").GetString() == "big" && b.GetProperty("bar").GetString() == "bar2");
        ulong firmware = Convert.ToUInt64(bar.GetProperty("firmware").GetString(), 16);

        // What firmware drew on answers there as well, until the display's own driver comes.
        Assert.Contains(run.EventsOf("bar.alias"), e => e.GetProperty("function").GetString() == "vga" && e.GetProperty("bar").GetString() == "bar0");
        Assert.True(firmware >= 1UL << 32 && firmware != 0x1000000000, $"OVMF put it at 0x{firmware:x}");
        Assert.Contains(run.EventsOf("bar.decoded"), e => e.GetProperty("function").GetString() == "big" && e.GetProperty("bar").GetString() == "bar2"
            && e.GetProperty("address").GetString() == $"0x{firmware:x}");
        string seen = Assert.Single(run.Lines("bar"), b => b[1] == "0000:00:05.0" && b[2] == "2")[3];
        Assert.Equal("0x0000001000000000", seen);
        Assert.Equal("0", Assert.Single(run.Lines("touched"))[2]);
    }

    [Fact]
    public async Task An_operating_system_without_ACPI_takes_nothing_over_and_the_map_stays_the_firmware_s()
    {
        FirmwareRun run = await FirmwareRun.UntilAsync(
            "APERTURE done",
            [
                "--firmware", FirmwareRun.SeaBios, "--memory", "512M", "--device", "test,id=a,addr=05.0,bar0=mem32:1M:trap,bars=bar0@0xd8000000",
                .. FirmwareRun.Kernel(PinnedMachine.KernelOptions + " acpi=off"),
            ]);
        Assert.Empty(run.EventsOf("handover"));
        string seen = Assert.Single(run.Lines("bar"), b => b[1] == "0000:00:05.0" && b[2] == "0")[3];
        Assert.NotEqual("0x00000000d8000000", seen);
        Assert.Equal("0", Assert.Single(run.Lines("touched"))[2]);
    }

    private static Task<PassthroughLab> BootDriveAsync(OvmfImage ovmf) => PassthroughLab.RunAsync(
        $$"""
        boot() {
            "$aperture" run --accel kvm --firmware {{ovmf.Code}},vars={{ovmf.Variables}},snapshot=on --memory 512M --no-reboot \
                --serial file=$scratch/serial --events $scratch/handover --root-port id=rp0 \
                --device vfio,host=0000:05:00.0,port=rp0,bars=bar0=host </dev/null &
            guest=$!
            for second in $(seq 1 150); do
                grep -q login: $scratch/serial 2>/dev/null && break
                kill -0 $guest 2>/dev/null || break
                sleep 1
            done
            kill $guest
            wait $guest
            cat $scratch/serial
            grep -q login: $scratch/serial
        }
        # The drive is other tests' too: it gets back what it held.
        image={{FirmwareRun.Prepared("grub-disk.img")}}
        drive=$(ls /sys/bus/pci/devices/0000:05:00.0/nvme/)
        head -c $(stat -c %s $image) /dev/${drive}n1 >$scratch/held
        dd if=$image of=/dev/${drive}n1 bs=1M conv=fsync 2>&1
        bind-vfio 0000:05:00.0 >&2
        step host sed -n '1s/ .*//p' /sys/bus/pci/devices/0000:05:00.0/resource
        step boot boot
        step events grep '"event":"handover"' $scratch/handover
        echo 0000:05:00.0 >/sys/bus/pci/drivers/vfio-pci/unbind
        echo >/sys/bus/pci/devices/0000:05:00.0/driver_override
        echo 0000:05:00.0 >/sys/bus/pci/drivers_probe
        udevadm settle 2>/dev/null || sleep 1
        drive=$(ls /sys/bus/pci/devices/0000:05:00.0/nvme/)
        dd if=$scratch/held of=/dev/${drive}n1 bs=1M conv=fsync 2>&1
        blockdev --rereadpt /dev/${drive}n1
        """);

    private static JsonElement[] Handover(PassthroughStep events) =>
        [.. JsonDocument.Parse(events.Output.Trim()).RootElement.GetProperty("bars").EnumerateArray()];
}
