namespace Aperture.Guest.Tests;

/// <summary>One lab run in which Linux guests divide memory by the program of lab/guest/partition.c: a drive's, through VFIO, and the daemon's own.</summary>
public sealed class LabPartitionRun : IAsyncLifetime
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

    // The drive has a controller memory buffer in BAR 2 (NVM Express 1.4, section 4.7): memory that keeps what is stored.
    private const string Script =
        """
        drive=0000:05:00.0
        limit=150
        serve() {
            "$aperture" mediate --mediator "$1" --socket-path $scratch/a.sock --socket-path $scratch/b.sock >$scratch/daemon 2>&1 &
            daemon=$!
            tries=0
            while [ ! -S $scratch/b.sock ] && [ $tries -lt 300 ]; do
                sleep 0.2
                tries=$((tries + 1))
            done
        }
        guest() {
            socket=$1
            shift
            vm "aperture.script=partition aperture.lines=$1" --device vfio-user,socket=$scratch/$socket.sock,id=part0
        }
        ended() {
            kill $daemon
            wait $daemon
            code=$?
            cat $scratch/daemon
            return $code
        }
        step bound bind-vfio $drive
        step faults test -e /proc/sys/vm/unprivileged_userfaultfd
        serve partition,vfio=$drive,bar=2
        step device-first guest a claim:0:2,fill:0:2:7,look:0:2,counts
        step device-second guest b claim:0:2,look:0:2,fill:1:1:9,look:0:2,give:1:1,look:1:1,counts
        step device-ended ended

        # The same pages as memory of the guest's monitor, for who is trusted with the drive.
        serve partition,vfio=$drive,bar=2,trust=on
        step device-mapped guest a claim:0:2,look:0:2,fill:0:2:5,look:0:2,counts
        step device-events cat $events
        step device-mapped-ended ended

        # Eight pages, of which the one guest has all when the other asks for three.
        serve partition,size=32K
        (guest a claim:0:8,fill:0:8:1,watch:3,look:3:5,counts >$scratch/first 2>&1) &
        first=$!
        tries=0
        while ! grep -q 'APERTURE filled' $scratch/first && [ $tries -lt 600 ]; do
            sleep 0.2
            tries=$((tries + 1))
        done
        step second guest b claim:0:3,fill:0:3:2,look:0:3,counts
        wait $first
        step first cat $scratch/first
        step ended ended

        """;
}

/// <summary>Linux guests and the partition mediator, in the lab.</summary>
/// <param name="run">What every test here reads.</param>
public sealed class LabPartitionTests(LabPartitionRun run) : IClassFixture<LabPartitionRun>
{
    private PassthroughStep Step(string name) => PassthroughLab.Step(run.Lab, name);

    [Fact]
    public void Guests_in_the_lab_divide_the_memory_of_a_drive_of_the_host_and_each_finds_zeros()
    {
        PassthroughStep first = Step("device-first");
        Assert.True(first.ExitCode == 0, $"{Step("bound").Output}\n{first.Output}");
        Assert.Equal(["page 0 7", "page 1 7"], Said(first, "page"));

        // 16 MiB of pages; two are the guest's.
        Assert.Equal("counts 4096 4094 2 0", Assert.Single(Said(first, "counts")));
        PassthroughStep second = Step("device-second");
        Assert.True(second.ExitCode == 0, second.Output);
        Assert.Equal(["page 0 zeros", "page 1 zeros", "page 0 zeros", "page 1 9", "page 1 ones"], Said(second, "page"));
        Assert.Equal("counts 4096 4095 1 0", Assert.Single(Said(second, "counts")));
        PassthroughStep ended = Step("device-ended");
        Assert.True(ended.ExitCode == 0, ended.Output);
        Assert.Contains("b.sock reads bar2 at 0x1000, which partition refuses", ended.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void A_guest_in_the_lab_maps_pages_of_the_drive_where_its_monitor_is_trusted_with_it()
    {
        PassthroughStep mapped = Step("device-mapped");
        Assert.True(mapped.ExitCode == 0, mapped.Output);
        Assert.Equal(["page 0 zeros", "page 1 zeros", "page 0 5", "page 1 5"], Said(mapped, "page"));
        Assert.Equal("counts 4096 4094 2 0", Assert.Single(Said(mapped, "counts")));
        Assert.Equal("", Step("device-mapped-ended").Output.Trim());
        Assert.SkipUnless(Step("faults").ExitCode == 0, "the lab's kernel has no userfaultfd, so the pages were reached by messages");
        string opened = Assert.Single(Step("device-events").Output.Split('\n'), static line => line.Contains("\"vfio.opened\"", StringComparison.Ordinal));
        Assert.Matches("\"bar\":\"bar2\"[^}]*\"mapped\":1,\"trapped\":0", opened);
    }

    [Fact]
    public void A_guest_in_the_lab_sees_its_oldest_pages_taken_for_another_and_keeps_the_rest()
    {
        PassthroughStep second = Step("second");
        Assert.True(second.ExitCode == 0, $"{second.Output}\n{Step("first").Output}");
        Assert.Equal(["page 0 2", "page 1 2", "page 2 2"], Said(second, "page"));
        PassthroughStep first = Step("first");
        Assert.Equal("taken 0 1 2", Assert.Single(Said(first, "taken")));
        Assert.Equal(["page 3 1", "page 4 1", "page 5 1", "page 6 1", "page 7 1"], Said(first, "page"));
        Assert.Equal("3", Assert.Single(Said(first, "counts")).Split(' ')[4]);
        Assert.True(Step("ended").ExitCode == 0, Step("ended").Output);
    }

    private static string[] Said(PassthroughStep step, string word) => [.. step.Lines(word).Select(static words => string.Join(' ', words))];
}
