using System.Globalization;

namespace Aperture.Guest.Tests;

/// <summary>What guests, hosts and killed monitors do to passed-through devices. Each test is one lab run.</summary>
public sealed class PassthroughFaultTests
{
    [Fact]
    public async Task Passthrough_without_an_IOMMU_is_refused_with_the_kernel_option_that_turns_it_on()
    {
        PassthroughLab lab = await PassthroughLab.RunWithoutIommuAsync(
            """
            echo vfio-pci >/sys/bus/pci/devices/0000:03:00.0/driver_override
            echo 0000:03:00.0 >/sys/bus/pci/devices/0000:03:00.0/driver/unbind
            echo 0000:03:00.0 >/sys/bus/pci/drivers_probe
            step refused vm x --device vfio,host=0000:03:00.0
            """);
        PassthroughStep refused = lab["refused"];
        Assert.True(refused.ExitCode is 2 or 3, refused.Output);
        Assert.Contains("0000:03:00.0", refused.Output, StringComparison.Ordinal);
        Assert.Contains("intel_iommu=on", refused.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Passthrough_of_a_device_that_cannot_reset_works_and_says_that_it_was_not_reset()
    {
        PassthroughLab lab = await PassthroughLab.RunAsync(
            """
            bind-vfio 0000:00:17.0 >&2
            step boot vm aperture.script=none --device vfio,host=0000:00:17.0,id=edu0
            step events cat $events
            """);
        Assert.True(lab["boot"].ExitCode == 0 && lab["boot"].Lines("up").Count == 1, lab.All);
        Assert.Contains("aperture: 0000:00:17.0 cannot be reset", lab["boot"].Output, StringComparison.Ordinal);
        Assert.Contains("\"reset\":false", lab["events"].Output, StringComparison.Ordinal);
    }

    /// <summary>How often the monitor is killed. APERTURE_KILLS=50 for a long series.</summary>
    private static readonly int Kills = Number("APERTURE_KILLS", 10);

    /// <summary>In how many of the first ones Linux's driver makes the transfers; in the others a guest that starts sooner.</summary>
    private static readonly int KillsOfLinux = Math.Clamp(Kills / 5, 2, 5);

    /// <summary>In how many of them the guest may stand still before it transfers, as the emulated machine's guests do now and then.</summary>
    private static readonly int StalledGuests = Math.Max(1, Kills * 3 / 50);

    private static int Number(string variable, int otherwise) =>
        int.TryParse(Environment.GetEnvironmentVariable(variable), NumberStyles.None, CultureInfo.InvariantCulture, out int number) ? number : otherwise;

    [Fact]
    public async Task Passthrough_survives_a_monitor_killed_under_DMA_and_the_device_is_free_each_time()
    {
        PassthroughLab lab = await PassthroughLab.RunAsync(
            $$"""
            bind-vfio 0000:03:00.0 >&2
            step pinned-before pinned
            before=$(pinned)
            stalled=0 path=container
            start() {
                if [ $done -lt {{KillsOfLinux}} ]; then
                    set -- --kernel "$kernel" --initramfs "$initramfs" --memory 256M \
                        --cmdline "$ticking aperture.script=load"
                else
                    set -- --kernel "$bare_kernel" --memory 64M --cmdline load
                fi
                exec "$aperture" run --accel kvm "$@" --serial file=$scratch/serial \
                    --vfio $path --device vfio,host=0000:03:00.0,bars=all=host </dev/null >$scratch/printed 2>&1
            }
            round() {
                start &
                monitor=$!
                waited=0
                while ! grep -q '^APERTURE loaded' $scratch/serial; do
                    [ -d /proc/$monitor ] && [ $waited -lt 400 ] || break
                    sleep 0.1
                    waited=$((waited + 1))
                done
                [ -d /proc/$monitor ] || { cat $scratch/printed $scratch/serial; return 1; }
                grep -q '^APERTURE loaded' $scratch/serial || stalled=$((stalled + 1))
                [ $stalled -le {{StalledGuests}} ] || {
                    echo "the guest did not come to transfer in $stalled rounds, on the path $path just now"
                    cat $scratch/printed $scratch/serial
                    return 1
                }
                sleep 0.2
                kill -9 $monitor
                wait $monitor
                [ "$(holders)" = 0 ] && [ "$(pinned)" = "$before" ]
            }
            done=0
            while [ $done -lt {{Kills}} ]; do
                : >$scratch/serial
                round >$scratch/round 2>&1 || break
                done=$((done + 1))
                [ -e /dev/iommu ] && if [ $path = container ]; then path=iommufd; else path=container; fi
            done
            step rounds sh -c "cat $scratch/round; cut -d' ' -f1 /proc/uptime; echo $done"
            step pinned pinned
            step log sh -c "dmesg | grep -i 'dmar.*fault\|BUG\|WARNING' | head -n 5"
            echo 0000:03:00.0 >/sys/bus/pci/drivers/vfio-pci/unbind
            echo nvme >/sys/bus/pci/devices/0000:03:00.0/driver_override
            echo 0000:03:00.0 >/sys/bus/pci/drivers_probe
            sleep 1
            step host-again head -n 1 /dev/nvme0n1
            """, minutes: 10 + (Kills / 10));
        Assert.True(lab["rounds"].Output.Trim().Split('\n')[^1] == $"{Kills}", lab.All);
        Assert.Equal(lab["pinned-before"].Output.Trim(), lab["pinned"].Output.Trim());
        Assert.StartsWith("APERTURE labnvme0 sector 0000000000000000", lab["host-again"].Output, StringComparison.Ordinal);
    }

    /// <summary>How often decoding is toggled; emulated, each takes 3 to 8 ms. APERTURE_TOGGLES=100000 for the whole of it.</summary>
    private static readonly int Toggles = Number("APERTURE_TOGGLES", 2000);

    // The registers are looked at in both states now and then; the monitor's own descriptors and mappings are counted meanwhile.
    [Fact]
    public async Task Passthrough_shows_a_BAR_exactly_while_it_decodes_however_often_a_guest_switches_that()
    {
        PassthroughLab lab = await PassthroughLab.RunAsync(
            $$"""
            bind-vfio 0000:03:00.0 >&2
            step pinned-before pinned
            limit={{120 + Toggles / 50}}
            watched() {
                bare "decode {{Toggles}}" --device vfio,host=0000:03:00.0,id=n0,bars=all=host &
                runner=$!
                while [ -d /proc/$runner ]; do
                    sleep 0.5
                    monitor=$(pgrep -x aperture) && echo "open $(ls /proc/$monitor/fd | wc -l) $(grep -c vfio /proc/$monitor/maps)"
                done
                wait $runner
            }
            step toggles watched
            step pinned pinned
            step holders holders
            """, minutes: 6 + Toggles / 2500);
        PassthroughStep toggles = lab["toggles"];
        Assert.True(toggles.ExitCode == 0, lab.All);
        Assert.Equal(["torment", "decode", "ok", $"{Toggles * 2L}"], Assert.Single(toggles.Lines("torment")));
        string[] open = [.. toggles.Output.Split('\n').Where(l => l.StartsWith("open ", StringComparison.Ordinal))];
        if (open.Length > 8)
        {
            // Not the first ones, when the monitor still started.
            Assert.Equal(open[6], open[^2]);
        }

        Assert.Equal(lab["pinned-before"].Output.Trim(), lab["pinned"].Output.Trim());
        Assert.Equal("0", lab["holders"].Output.Trim());
    }

    /// <summary>How often the guest's own kernel toggles decoding, which costs it all of its second-level mappings each time.</summary>
    private const int SlowToggles = 200;

    [Theory]
    [InlineData("container")]
    [InlineData("iommufd")]
    public async Task Passthrough_survives_a_guest_that_misuses_its_device_which_works_again_after_its_driver_s_reset(string path)
    {
        PassthroughLab lab = await PassthroughLab.RunAsync(
            $"""
            bind-vfio 0000:03:00.0 >&2
            step iommufd test -e /dev/iommu
            [ {path} = container ] || [ -e /dev/iommu ] || exit 0
            step pinned-before pinned
            limit=180
            step torment vm "aperture.script=torment aperture.count={SlowToggles} nvme_core.io_timeout=2" --vfio {path} \
                --device vfio,host=0000:03:00.0,id=n0,bars=all=host
            step pinned pinned
            step holders holders
            """, minutes: 10);
        Assert.SkipUnless(path == "container" || lab["iommufd"].ExitCode == 0,
            "the lab's kernel has no iommufd: ./aperture lab prepare kernel builds one that has");
        PassthroughStep torment = lab["torment"];
        Assert.True(torment.ExitCode == 0, torment.Output);
        Assert.Equal(["msix", "busmaster", "decode", "garbage"], torment.Lines("torment").Select(l => l[1]));
        Assert.All(torment.Lines("torment"), l => Assert.Equal("ok", l[3]));
        Assert.Equal(4, torment.Lines("disk-read").Count);
        Assert.All(torment.Lines("disk-read"), l => Assert.Equal(PassthroughLab.PatternHash("labnvme0"), l[2]));
        Assert.All(torment.Lines("disk-write"), l => Assert.Equal("ok", l[2]));
        Assert.Equal($"{SlowToggles * 2}", torment.Lines("torment")[2][4]);
        Assert.Equal(lab["pinned-before"].Output.Trim(), lab["pinned"].Output.Trim());
        Assert.Equal("0", lab["holders"].Output.Trim());
    }

    [Fact]
    public async Task Passthrough_gives_a_device_back_that_the_host_unbinds_and_the_guest_goes_on()
    {
        PassthroughLab lab = await PassthroughLab.RunAsync(
            """
            bind-vfio 0000:03:00.0 >&2
            : >$scratch/serial
            "$aperture" run --accel kvm --kernel "$kernel" --initramfs "$initramfs" --memory 256M --serial file=$scratch/serial --events $events \
                --cmdline "$ticking aperture.script=unplugged" \
                --root-port id=rp0 --device vfio,host=0000:03:00.0,id=n0,port=rp0,bars=all=host </dev/null >$scratch/printed 2>&1 &
            monitor=$!
            waited=0
            while ! grep -q '^APERTURE loaded' $scratch/serial && [ $waited -lt 600 ] && [ -d /proc/$monitor ]; do
                sleep 0.1
                waited=$((waited + 1))
            done
            step unbind timeout 60 sh -c 'echo 0000:03:00.0 >/sys/bus/pci/drivers/vfio-pci/unbind'
            waited=0
            while [ -d /proc/$monitor ] && [ $waited -lt 300 ]; do
                sleep 0.1
                waited=$((waited + 1))
            done
            step over test ! -d /proc/$monitor
            kill -9 $monitor
            step serial cat $scratch/serial $scratch/printed
            step events cat $events
            echo nvme >/sys/bus/pci/devices/0000:03:00.0/driver_override
            echo 0000:03:00.0 >/sys/bus/pci/drivers_probe
            sleep 1
            step host-again head -n 1 /dev/nvme0n1
            """);
        Assert.True(lab["unbind"].ExitCode == 0, lab.All);
        Assert.True(lab["over"].ExitCode == 0, lab["serial"].Output);
        Assert.Contains("\"event\":\"vfio.unplug-requested\",\"function\":\"n0\"", lab["events"].Output, StringComparison.Ordinal);
        Assert.True(lab["serial"].Lines("unplugged").Count == 1, lab["serial"].Output);
        Assert.StartsWith("APERTURE labnvme0 sector 0000000000000000", lab["host-again"].Output, StringComparison.Ordinal);
    }
}
