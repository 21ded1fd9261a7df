using System.Globalization;
using System.Security.Cryptography;

namespace Aperture.Guest.Tests;

/// <summary>One lab run in which devices are named, and their ROMs given, in every way there is; and virtual functions.</summary>
public sealed class PassthroughWaysRun : IAsyncLifetime
{
    internal PassthroughLab? Lab { get; private set; }

    /// <inheritdoc/>
    public async ValueTask InitializeAsync()
    {
        if (PassthroughLab.Missing is null)
        {
            Lab = await PassthroughLab.RunAsync(Script);
        }
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    // A descriptor serves one machine: the kernel ties it to that machine's I/O address space for good.
    private const string Script =
        """
        limit=150
        bind-vfio 0000:03:00.0 0000:07:00.0 >&2
        step iommufd test -e /dev/iommu
        step pinned-before pinned
        cdev=/dev/vfio/devices/$(basename /sys/bus/pci/devices/0000:03:00.0/vfio-dev/*)
        passed() (
            exec 7<>$cdev
            vm "$@"
        )
        if [ -e /dev/iommu ]; then
            step descriptor passed aperture.script=assigned --device vfio,fd=7,id=n0,bars=all=host,rom=$session/given.rom \
                --device vfio,sysfs=/sys/bus/pci/devices/0000:07:00.0,id=e0
            step descriptor-events cat $events
            step descriptor-container passed x --vfio container --device vfio,fd=7

            plugged() (
                events=$scratch/plugged.jsonl
                vm aperture.script=plug\ aperture.watch=2 --vfio iommufd --root-port id=rp0 --control $scratch/plugged.control
            )
            guest_says() {
                waited=0
                while ! grep -q "$1" $scratch/plugged.txt && [ $waited -lt 900 ]; do
                    sleep 0.1
                    waited=$((waited + 1))
                done
            }
            ask() { timeout 90 "$aperture" "$@" --control $scratch/plugged.control; }
            ask_with() (
                exec 9<>$cdev
                ask "$@"
            )
            plugged >$scratch/plugged.txt 2>&1 &
            guest_says 'plug waiting 1'
            step sent ask_with attach --device vfio,fd=9,id=n0,port=rp0
            guest_says 'plug used 1'
            step sent-detach ask detach n0 --wait 60
            guest_says 'plug waiting 2'
            step sent-holders sh -c "ls -l /proc/$(pgrep -x aperture)/fd | grep /dev/vfio/devices"
            step sent-not ask attach --device vfio,fd=9,id=n0,port=rp0
            kill "$(pgrep -x aperture)"
            wait $!
            step sent-guest cat $scratch/plugged.txt
        fi
        foreign() (
            exec 7</dev/null
            vm "$@"
        )
        step descriptor-foreign foreign x --device vfio,fd=7
        step sysfs vm aperture.script=assigned --vfio container --device vfio,sysfs=/sys/bus/pci/devices/0000:03:00.0,id=n0 \
            --device vfio,sysfs=/sys/bus/pci/devices/0000:07:00.0/,id=e0,rom=off
        step sysfs-absent vm x --device vfio,sysfs=/sys/bus/pci/devices/0000:55:00.0

        if [ -e /sys/bus/pci/devices/0000:06:00.0 ]; then
            bind-vfio 0000:06:10.0 0000:06:10.2 >&2
            step vf-places awk '$1 != "0x0000000000000000" { print "APERTURE place", FILENAME, FNR - 1, $1 }' \
                /sys/bus/pci/devices/0000:06:10.0/resource /sys/bus/pci/devices/0000:06:10.2/resource
            step vfs vm aperture.script=assigned --root-port id=rp0 --device vfio,host=0000:06:10.0,id=vf0,port=rp0,addr=00.0,bars=all=host \
                --device vfio,host=0000:06:10.2,id=vf1,port=rp0,addr=00.1,bars=all=host
        fi
        step holders holders
        step pinned pinned
        """;
}

/// <summary>Devices by descriptor and by path, ROMs of every kind, and virtual functions that carry traffic, with the kernel's own VFIO.</summary>
/// <param name="run">What every test here reads.</param>
public sealed class PassthroughWaysTests(PassthroughWaysRun run) : IClassFixture<PassthroughWaysRun>
{
    private PassthroughStep Step(string name) => PassthroughLab.Step(run.Lab, name);

    private PassthroughStep CdevStep(string name) => PassthroughLab.CdevStep(run.Lab, name);

    private static string Hash(byte[] image) => Convert.ToHexStringLower(SHA256.HashData(image));

    [Fact]
    public void Passthrough_by_a_descriptor_that_the_caller_opened_goes_through_iommufd_and_works()
    {
        PassthroughStep guest = CdevStep("descriptor");
        Assert.True(guest.ExitCode == 0, guest.Output);
        Assert.Equal(PassthroughLab.PatternHash("labnvme0"), Assert.Single(guest.Lines("disk-read"))[2]);
        Assert.Equal("ok", Assert.Single(guest.Lines("disk-write"))[2]);
        Assert.Contains("\"event\":\"vfio.path\",\"path\":\"iommufd\"", Step("descriptor-events").Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Passthrough_by_a_descriptor_that_is_sent_with_an_attach_works_and_is_closed_when_the_device_leaves()
    {
        Assert.True(CdevStep("sent").ExitCode == 0, Step("sent").Output);
        Assert.True(Step("sent-detach").ExitCode == 0, Step("sent-detach").Output);
        Assert.Equal("", Step("sent-holders").Output);
        PassthroughStep guest = Step("sent-guest");
        Assert.Equal(PassthroughLab.PatternHash("labnvme0"), Assert.Single(guest.Lines("disk-read"))[2]);
        Assert.Equal(["gone", "1"], guest.Lines("plug")[^2][1..]);
        Assert.Contains("neither of the one that asks nor of the machine", Step("sent-not").Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Passthrough_by_a_descriptor_is_refused_where_it_cannot_be_used_with_what_to_give_instead()
    {
        PassthroughStep container = CdevStep("descriptor-container");
        Assert.True(container.ExitCode is 2 or 3, container.Output);
        Assert.Contains("the container path cannot use; give --vfio iommufd, or the device's address", container.Output, StringComparison.Ordinal);

        PassthroughStep foreign = Step("descriptor-foreign");
        Assert.True(foreign.ExitCode is 2 or 3, foreign.Output);
        Assert.Contains("descriptor 7 is not an opened /dev/vfio/devices/vfioN", foreign.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Passthrough_by_a_path_in_sysfs_works_and_a_path_without_a_device_is_refused()
    {
        PassthroughStep guest = Step("sysfs");
        Assert.True(guest.ExitCode == 0, guest.Output);
        Assert.Equal(PassthroughLab.PatternHash("labnvme0"), Assert.Single(guest.Lines("disk-read"))[2]);
        Assert.Equal("ok", Assert.Single(guest.Lines("ping"))[2]);
        PassthroughStep absent = Step("sysfs-absent");
        Assert.True(absent.ExitCode is 2 or 3, absent.Output);
        Assert.Contains("/sys/bus/pci/devices/0000:55:00.0", absent.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Passthrough_shows_the_ROM_of_the_device_the_one_given_or_none()
    {
        PassthroughStep guest = CdevStep("descriptor");
        Assert.Equal([Hash(RomImage.Given), Hash(RomImage.Own)], guest.Lines("rom").OrderBy(l => l[1], StringComparer.Ordinal).Select(l => l[3]));
        Assert.All(guest.Lines("rom"), l => Assert.Equal("4096", l[2]));
        Assert.Empty(Step("sysfs").Lines("rom"));
    }

    [Fact]
    public void Passthrough_of_virtual_functions_carries_traffic_with_their_BARs_below_one_port_where_the_host_has_them()
    {
        PassthroughStep guest = Step("vfs");
        Assert.SkipUnless(PassthroughLab.HasVirtualFunctions, "the lab's emulator has no network controller with virtual functions");
        Assert.True(guest.ExitCode == 0, guest.Output);
        Assert.Equal(["igbvf", "igbvf"], guest.Lines("net").Select(l => l[3]));
        Assert.Equal(["ok", "ok"], guest.Lines("ping").Select(l => l[2]));
        Assert.Equal(["0000:01:00.0", "0000:01:00.1"], guest.Lines("ping").Select(l => l[1]));

        // The host's resources of both functions, in the order of the functions as the guest's are.
        (int Index, ulong Address)[] host =
            [.. Step("vf-places").Lines("place").Select(l => (int.Parse(l[2], CultureInfo.InvariantCulture), Convert.ToUInt64(l[3], 16)))];
        Assert.Equal(4, host.Length);
        Assert.Equal(host, guest.Lines("bar").Select(l => (int.Parse(l[2], CultureInfo.InvariantCulture), Convert.ToUInt64(l[3], 16))));
    }

    [Fact]
    public void Passthrough_in_every_way_leaves_nothing_open_or_pinned()
    {
        Assert.Equal("0", Step("holders").Output.Trim());
        Assert.Equal(Step("pinned-before").Output.Trim(), Step("pinned").Output.Trim());
    }
}
