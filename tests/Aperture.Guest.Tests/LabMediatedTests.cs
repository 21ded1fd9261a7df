namespace Aperture.Guest.Tests;

/// <summary>One lab run with the kernel's sample mediated devices, whose modules lie beside the checkout where the lab's kernel does.</summary>
public sealed class LabMediatedRun : IAsyncLifetime
{
    internal const string Section = "## Mediated devices";

    private static readonly string Modules = Path.GetFullPath(Path.Combine(Checkout.Root(), "..", "shared", "lab"));

    private static readonly string Runner = Path.Combine(
        AppContext.BaseDirectory.Replace("Aperture.Guest.Tests", "Aperture.Vfio.Tests", StringComparison.Ordinal), "Aperture.Vfio.Tests");

    internal PassthroughLab? Lab { get; private set; }

    /// <summary>Why the lab has no mediated devices here, or null.</summary>
    internal static string? Missing =>
        PassthroughLab.Missing ?? (File.Exists(Path.Combine(Modules, "mdev.ko.xz"))
            ? null
            : $"there are no modules of mediated devices in {Modules}, and Debian's kernels have none of the samples");

    /// <summary>The commands of the page's section, as they stand there.</summary>
    internal static string Documented
    {
        get
        {
            string page = File.ReadAllText(Path.Combine(Checkout.Root(), "docs", "passthrough.md"));
            string section = page[page.IndexOf(Section, StringComparison.Ordinal)..];
            return section.Split("```\n")[1];
        }
    }

    /// <inheritdoc/>
    public async ValueTask InitializeAsync()
    {
        if (Missing is null)
        {
            string variables = Checkout.Command("export", "modules=" + Modules, "runner=" + Runner) + "\n";
            Lab = await PassthroughLab.RunAsync(variables + Loading + Script + Documentation());
        }
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    // Modules of another kernel are refused by the kernel; then there is nothing to see, which the step tells.
    private const string Loading =
        """
        load() {
            for module in "$@"; do
                xz -dc $modules/$module.ko.xz >$scratch/$module.ko || return 1
                insmod $scratch/$module.ko 2>/dev/null || busybox insmod $scratch/$module.ko || return 1
            done
        }
        parents=/sys/class/mdev_bus
        mdevs=/sys/bus/mdev/devices
        port=83b8f4f2-509f-382f-3c1e-e6bfe0fa1001
        frame=83b8f4f2-509f-382f-3c1e-e6bfe0fa1002
        video=83b8f4f2-509f-382f-3c1e-e6bfe0fa1003
        step load load mdev mtty mdpy mbochs
        step iommufd test -e /dev/iommu
        step absent vm x --device vfio,sysfs=$mdevs/$port
        echo $port >$parents/mtty/mdev_supported_types/mtty-1/create
        echo $frame >$parents/mdpy/mdev_supported_types/mdpy-vga/create
        echo $video >$parents/mbochs/mdev_supported_types/mbochs-small/create

        """;

    private const string Script =
        """
        limit=100
        three() {
            way=$1
            shift
            vm aperture.script=mediated --vfio $way --device vfio,sysfs=$mdevs/$port,id=port0 \
                --device vfio,sysfs=$parents/mdpy/$frame,id=frame0 --device vfio,sysfs=$mdevs/$video/ "$@"
        }
        step plan $aperture plan --memory 256M --device vfio,sysfs=$mdevs/$port,id=port0 --device vfio,sysfs=$parents/mdpy/$frame,id=frame0 \
            --device vfio,sysfs=$mdevs/$video
        step container three container
        step container-events cat $events
        if [ -e /dev/iommu ]; then
            step cdev three iommufd
            step cdev-events cat $events
        fi
        # Debian's kernel lets a program read what is behind a BAR. There is nothing: the other BAR is elsewhere.
        past() {
            vm_kernel=$cloud_kernel
            limit=150
            vm aperture.script=mediated --device vfio,sysfs=$mdevs/$video,bars=bar0@0xd0000000
        }
        step past past
        step missing env APERTURE_TEST_MBOCHS=$mdevs/$video "$runner" -noLogo -noColor -explicit only -class Aperture.Vfio.Tests.LabMissingMemoryTests
        used() (
            exec 8<>/dev/vfio/$(basename "$(readlink $mdevs/$port/iommu_group)")
            $aperture plan --memory 256M --vfio container --device vfio,sysfs=$mdevs/$port
        )
        step used used
        step twice vm x --device vfio,sysfs=$mdevs/$port,id=a --device vfio,sysfs=$mdevs/$port,id=b
        step holders holders

        """;

    // The reader's own names of kernel and file system.
    private static string Documentation() =>
        $$"""
        cd $scratch
        cp $kernel vmlinuz
        cp $initramfs initrd.gz
        documented() (
            program=$aperture
            aperture() { timeout -k 5 $limit "$program" "$@" </dev/null; }
            modprobe() { :; }
            set -e
            {{Documented.ReplaceLineEndings("\n").Replace("\n", "\n    ", StringComparison.Ordinal)}}
        )
        step documented documented
        for device in $mdevs/*; do echo 1 >$device/remove; done
        for module in mbochs mdpy mtty mdev; do rmmod $module 2>/dev/null || busybox rmmod $module; done

        """;
}

/// <summary>Mediated devices of the kernel in guests: trapped ones, mapped ones, and some whose pages come with the first touch.</summary>
/// <param name="run">What every test here reads.</param>
public sealed class LabMediatedTests(LabMediatedRun run) : IClassFixture<LabMediatedRun>
{
    private const string Video = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1003";

    private PassthroughStep Step(string name)
    {
        Assert.SkipUnless(LabMediatedRun.Missing is null, LabMediatedRun.Missing ?? "");
        Assert.SkipUnless(run.Lab!["load"].ExitCode == 0, $"the lab's kernel does not take the modules of mediated devices: {run.Lab["load"].Output}");
        return run.Lab[name];
    }

    private PassthroughStep CdevStep(string name)
    {
        PassthroughStep iommufd = Step("iommufd");
        Assert.SkipUnless(iommufd.ExitCode == 0, "the lab's kernel has no iommufd: ./aperture lab prepare kernel builds one that has");
        return Step(name);
    }

    [Theory]
    [InlineData("container")]
    [InlineData("cdev")]
    public void Mediated_devices_of_the_lab_serve_a_guest_s_Linux_whether_trapped_mapped_or_faulted_in(string way)
    {
        PassthroughStep guest = way == "cdev" ? CdevStep(way) : Step(way);
        Assert.True(guest.ExitCode == 0, guest.Output);
        string[] serial = Assert.Single(guest.Lines("serial"));
        Assert.Equal(("serial", "aperture-serial"), (serial[3], serial[4]));
        Assert.Equal(["2097152", "4194304"], guest.Lines("memory").Select(line => line[3]));
        Assert.All(guest.Lines("memory"), line => Assert.Equal("ok", line[4]));
        Assert.Equal(["0xA9E00000", "0xA9E00000"], guest.Lines("memory").Select(line => line[5]));
        Assert.Contains("APERTURE done", guest.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Mediated_devices_of_the_lab_end_where_their_BAR_ends_and_who_reads_past_it_finds_all_ones()
    {
        PassthroughStep guest = Step("past");
        Assert.True(guest.ExitCode == 0, guest.Output);
        Assert.Equal("ok", Assert.Single(guest.Lines("memory"))[4]);
        Assert.Equal("0xFFFFFFFF", Assert.Single(guest.Lines("past"))[2]);
    }

    [Fact]
    public void Mediated_devices_of_the_lab_that_have_no_memory_where_a_guest_reads_let_it_read_all_ones()
    {
        PassthroughStep runner = Step("missing");
        Assert.True(runner.ExitCode == 0, runner.Output);
        Assert.Contains("Total: 1, Errors: 0, Failed: 0, Skipped: 0,", runner.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("container", "container")]
    [InlineData("cdev", "iommufd")]
    public void Mediated_devices_of_the_lab_are_told_of_with_what_of_them_is_mapped_and_what_is_left_out(string way, string path)
    {
        string[] events = (way == "cdev" ? CdevStep($"{way}-events") : Step($"{way}-events")).Output.Split('\n');
        Assert.Contains($"\"path\":\"{path}\"", Assert.Single(events, e => e.Contains("\"vfio.path\"", StringComparison.Ordinal)), StringComparison.Ordinal);
        string Opened(string name) =>
            Assert.Single(events, e => e.Contains($"\"event\":\"vfio.opened\",\"function\":\"{name}\"", StringComparison.Ordinal));
        Assert.Contains("\"mapped\":0,\"trapped\":1", Opened("port0"), StringComparison.Ordinal);
        Assert.Contains("\"mapped\":1,\"trapped\":0", Opened("frame0"), StringComparison.Ordinal);
        Assert.Contains("\"mapped\":1,\"trapped\":0", Opened(Video), StringComparison.Ordinal);
        Assert.Contains($"\"host\":\"{Video}\"", Opened(Video), StringComparison.Ordinal);
        Assert.Contains("region 9 of", Opened(Video), StringComparison.Ordinal);
        Assert.Contains(events, e => e.Contains($"{Video} cannot be reset (its driver on the host offers none)", StringComparison.Ordinal));
    }

    [Fact]
    public void Mediated_devices_of_the_lab_are_planned_by_opening_them_which_is_said()
    {
        PassthroughStep plan = Step("plan");
        Assert.True(plan.ExitCode == 0, plan.Output);
        Assert.All(["port0", "frame0", Video], name => Assert.Matches($@"{name} +bar0 ", plan.Output));

        Assert.Contains($"{Video} is a mediated device without addresses on the host; it was opened to read its BARs", plan.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Mediated_devices_of_the_lab_that_another_process_uses_cannot_be_planned_which_is_said()
    {
        PassthroughStep used = Step("used");
        Assert.True(used.ExitCode == 3, used.Output);
        const string Port = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001";
        Assert.Contains($"The BARs of the mediated device {Port} are known only while it is open, and it cannot be opened: {Port} is in use by another process",
            used.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Mediated_devices_of_the_lab_that_are_missing_or_named_twice_are_refused()
    {
        PassthroughStep absent = Step("absent");
        Assert.True(absent.ExitCode == 2, absent.Output);
        Assert.Contains("the host has no mediated device 83b8f4f2-509f-382f-3c1e-e6bfe0fa1001; make it with", absent.Output, StringComparison.Ordinal);
        PassthroughStep twice = Step("twice");
        Assert.True(twice.ExitCode == 2, twice.Output);
        Assert.Contains("is given to the guest twice", twice.Output, StringComparison.Ordinal);
        Assert.Equal("0", Step("holders").Output.Trim());
    }

    [Fact]
    public void Mediated_devices_of_the_lab_work_by_the_commands_of_the_page()
    {
        PassthroughStep documented = Step("documented");
        Assert.True(documented.ExitCode == 0, documented.Output);
        Assert.Matches("fb0 +bar0 ", documented.Output);
        Assert.Contains(documented.Lines("function"), line => line[2] == "0x1b36:0x000f");
    }
}
