namespace Aperture.Guest.Tests;

/// <summary>One lab run in which every start is refused for a reason of its own.</summary>
public sealed class PassthroughRefusalRun : IAsyncLifetime
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

    private const string Script =
        """
        # The functions at 0000:08:00 are of one IOMMU group.
        limit=60
        step iommufd test -e /dev/iommu
        step pinned-before pinned
        step unbound vm x --device vfio,host=0000:05:00.0
        step absent vm x --device vfio,host=0000:99:00.0

        bind-vfio 0000:08:00.0 >&2
        echo 0000:08:00.1 >/sys/bus/pci/drivers/vfio-pci/unbind
        echo e1000e >/sys/bus/pci/devices/0000:08:00.1/driver_override
        echo 0000:08:00.1 >/sys/bus/pci/drivers_probe
        step group vm x --vfio container --device vfio,host=0000:08:00.0
        step group-cdev vm x --vfio iommufd --device vfio,host=0000:08:00.0

        bind-vfio 0000:03:00.0 >&2
        group=$(basename "$(readlink /sys/bus/pci/devices/0000:03:00.0/iommu_group)")
        sleep 600 5<>/dev/vfio/$group &
        step busy vm x --vfio container --device vfio,host=0000:03:00.0
        step busy-cdev vm x --vfio iommufd --device vfio,host=0000:03:00.0
        kill $!
        wait $!

        limited() (
            ulimit -l 65536
            wrap="setpriv --bounding-set=-ipc_lock,-sys_resource --inh-caps=-ipc_lock,-sys_resource"
            vm x "$@" --device vfio,host=0000:03:00.0
        )
        step memlock limited --vfio container
        step memlock-cdev limited --vfio iommufd

        # The limit meets a guest that runs already: it goes on without the device, and gets it once the limit is raised.
        late() (
            ulimit -l 65536
            wrap="setpriv --bounding-set=-ipc_lock,-sys_resource --inh-caps=-ipc_lock,-sys_resource"
            events=$scratch/late.jsonl limit=200
            vm aperture.script=plug\ aperture.watch=2 --vfio container --root-port id=rp0 --control $scratch/late.control
        )
        ask() { timeout 90 "$aperture" "$@" --control $scratch/late.control; }
        guest_says() {
            waited=0
            while ! grep -q "$1" $scratch/late.txt && [ $waited -lt 900 ]; do
                sleep 0.1
                waited=$((waited + 1))
            done
        }
        late >$scratch/late.txt 2>&1 &
        guest_says 'plug waiting 1'
        step late-refused ask attach --device vfio,host=0000:03:00.0,id=n0,port=rp0
        step late-verify ask verify
        # What KVM itself keeps for its virtual machine is not VFIO's. The container, with no group in it, stays for the next attempt.
        step late-holders sh -c "ls -l /proc/$(pgrep -x aperture)/fd | grep -v 'kvm-vfio\|/dev/vfio/vfio$' | grep vfio"
        prlimit --pid "$(pgrep -x aperture)" --memlock=unlimited
        step late-attach ask attach --device vfio,host=0000:03:00.0,id=n0,port=rp0
        guest_says 'plug used 1'
        step late-detach ask detach n0 --wait 60
        guest_says 'plug waiting 2'
        kill "$(pgrep -x aperture)"
        wait $!
        step late-guest cat $scratch/late.txt

        mode=$(stat -c %a /dev/kvm)
        chmod 666 /dev/kvm
        nobody() (
            wrap="setpriv --reuid=65534 --regid=65534 --clear-groups"
            events=$scratch/nobody.jsonl
            vm x "$@" --device vfio,host=0000:03:00.0
        )
        step forbidden nobody --vfio container
        step forbidden-cdev nobody --vfio iommufd
        chmod $mode /dev/kvm

        if [ -e /dev/iommu ]; then mv /dev/iommu /dev/hidden; fi
        step no-iommufd vm x --vfio iommufd --device vfio,host=0000:03:00.0
        limit=60
        step fallback vm aperture.script=none --vfio auto --device vfio,host=0000:03:00.0
        step fallback-events cat $events
        if [ -e /dev/hidden ]; then mv /dev/hidden /dev/iommu; fi

        step pinned pinned
        step holders holders
        echo 0000:03:00.0 >/sys/bus/pci/drivers/vfio-pci/unbind
        echo nvme >/sys/bus/pci/devices/0000:03:00.0/driver_override
        echo 0000:03:00.0 >/sys/bus/pci/drivers_probe
        sleep 1
        step host-again head -n 1 /dev/nvme0n1
        """;
}

/// <summary>Starts that cannot work end with one sentence that names the cause and what to do, and leave nothing behind.</summary>
/// <param name="run">What every test here reads.</param>
public sealed class PassthroughRefusalTests(PassthroughRefusalRun run) : IClassFixture<PassthroughRefusalRun>
{
    private PassthroughStep Step(string name) => PassthroughLab.Step(run.Lab, name);

    private PassthroughStep CdevStep(string name) => PassthroughLab.CdevStep(run.Lab, name);

    /// <summary>The host's failure in one line with every word in it.</summary>
    private static void Refused(PassthroughStep step, params string[] words)
    {
        Assert.True(step.ExitCode is 2 or 3, $"exit code {step.ExitCode}: {step.Output}");
        string[] lines = [.. step.Output.Split('\n').Where(l => l.Length > 0)];
        Assert.True(lines.Length == 1 && lines[0].StartsWith("aperture: ", StringComparison.Ordinal), step.Output);
        Assert.All(words, word => Assert.Contains(word, lines[0], StringComparison.OrdinalIgnoreCase));
    }

    [Fact]
    public void Passthrough_of_a_device_that_another_driver_has_is_refused_with_that_driver_and_the_way_to_vfio_pci() =>
        Refused(Step("unbound"), "0000:05:00.0", "nvme", "vfio-pci");

    [Fact]
    public void Passthrough_of_a_device_that_is_not_there_is_refused() => Refused(Step("absent"), "0000:99:00.0");

    [Fact]
    public void Passthrough_of_a_group_that_is_not_viable_names_the_other_member_and_its_driver()
    {
        Refused(Step("group"), "0000:08:00.0", "0000:08:00.1", "e1000e");
        Refused(CdevStep("group-cdev"), "0000:08:00.0", "0000:08:00.1", "e1000e");
    }

    [Fact]
    public void Passthrough_of_a_device_that_another_process_has_says_so()
    {
        Refused(Step("busy"), "0000:03:00.0", "use");
        Refused(CdevStep("busy-cdev"), "0000:03:00.0", "use");
    }

    [Fact]
    public void Passthrough_with_too_small_a_limit_of_locked_memory_names_the_number_needed()
    {
        Needed(Step("memlock"));
        Needed(CdevStep("memlock-cdev"));

        static void Needed(PassthroughStep step)
        {
            Refused(step, "ulimit -l ");
            string number = step.Output.Split("ulimit -l ")[1].Split(',', ' ', ';')[0];
            // In KiB; the guest has 256 MiB, of which 384 KiB below 1 MiB are no RAM for devices.
            Assert.True(int.Parse(number, System.Globalization.CultureInfo.InvariantCulture) >= 261_000, step.Output);
        }
    }

    [Fact]
    public void Passthrough_of_a_device_that_comes_later_is_refused_with_the_number_needed_while_the_guest_goes_on_and_works_once_the_limit_is_raised()
    {
        PassthroughStep refused = Step("late-refused");
        Assert.True(refused.ExitCode != 0, refused.Output);
        Assert.Contains("RLIMIT_MEMLOCK", refused.Output, StringComparison.Ordinal);
        Assert.Matches("ulimit -l 3[0-9]{5}", refused.Output);
        Assert.True(Step("late-verify").ExitCode == 0, Step("late-verify").Output);
        Assert.Equal("", Step("late-holders").Output);

        Assert.True(Step("late-attach").ExitCode == 0, Step("late-attach").Output);
        Assert.True(Step("late-detach").ExitCode == 0, Step("late-detach").Output);
        PassthroughStep guest = Step("late-guest");
        Assert.Equal(PassthroughLab.PatternHash("labnvme0"), Assert.Single(guest.Lines("disk-read"))[2]);
        Assert.Equal(["gone", "1"], guest.Lines("plug")[^2][1..]);
    }

    [Fact]
    public void Passthrough_without_permission_names_the_file_and_the_user_s_way_to_it()
    {
        Refused(Step("forbidden"), "/dev/vfio/", "may not be opened by this user");
        Refused(CdevStep("forbidden-cdev"), "/dev/", "may not be opened by this user");
    }

    [Fact]
    public void Passthrough_through_iommufd_is_refused_where_the_kernel_has_none_and_goes_through_the_container_unless_told_otherwise()
    {
        Refused(Step("no-iommufd"), "/dev/iommu", "--vfio");
        PassthroughStep fallback = Step("fallback");
        Assert.True(fallback.ExitCode == 0 && fallback.Lines("up").Count == 1, fallback.Output);
        Assert.Contains("\"event\":\"vfio.path\",\"path\":\"container\"", Step("fallback-events").Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Passthrough_that_was_refused_leaves_no_pinned_page_no_open_device_and_a_drive_that_the_host_can_read()
    {
        Assert.Equal(Step("pinned-before").Output.Trim(), Step("pinned").Output.Trim());
        Assert.Equal("0", Step("holders").Output.Trim());
        Assert.StartsWith("APERTURE labnvme0 sector 0000000000000000", Step("host-again").Output, StringComparison.Ordinal);
    }
}
