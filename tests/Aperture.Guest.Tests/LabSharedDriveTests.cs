namespace Aperture.Guest.Tests;

/// <summary>One lab run in which <c>aperture mediate</c> shares the lab's drive among three guests of Aperture, each with Linux's own NVMe driver.</summary>
public sealed class LabSharedDriveRun : IAsyncLifetime
{
    internal PassthroughLab? Lab { get; private set; }

    /// <inheritdoc/>
    public async ValueTask InitializeAsync()
    {
        if (PassthroughLab.Missing is null)
        {
            Lab = await PassthroughLab.RunAsync(Script, minutes: 10);
        }
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    // Behind the pattern that a new drive of the lab begins with. Each guest writes to a file of its own, since they run side by side; a guest that was killed
    // is not to be repeated, so that one has no step of its own.
    private const string Script =
        """
        limit=300
        step bind bind-vfio 0000:03:00.0
        $aperture mediate --mediator nvme,vfio=0000:03:00.0,start=8M,shares=64M/64M/64M \
            --socket-path a.sock --socket-path b.sock --socket-path c.sock >mediate.txt 2>&1 &
        daemon=$!
        tries=0
        until [ -S c.sock ] || [ $tries -ge 300 ]; do sleep 0.1; tries=$((tries + 1)); done
        cat >noted <<'EOF'
        #!/bin/sh
        echo $$ >"$noted"
        exec "$@"
        EOF
        chmod +x noted
        share() {
            socket=$1
            shift
            events=$scratch/$socket.jsonl
            vm "aperture.script=shared $*" --device vfio-user,socket=$scratch/$socket
        }
        (step one share a.sock aperture.count=20) >one.txt 2>&1 &
        one=$!
        (step rebooter share c.sock aperture.count=2 aperture.watch=2) >rebooter.txt 2>&1 &
        rebooter=$!
        (export noted=$scratch/victim.pid; wrap=$scratch/noted; share b.sock aperture.count=100000) >victim.txt 2>&1 &
        victim=$!
        tries=0
        until [ "$(grep -c shared-round victim.txt)" -ge 3 ] || [ $tries -ge 1500 ]; do sleep 0.1; tries=$((tries + 1)); done
        kill -9 "$(cat victim.pid)"
        wait $victim
        (step successor share b.sock aperture.count=3) >successor.txt 2>&1
        wait $one
        wait $rebooter
        step victim cat victim.txt
        cat one.txt rebooter.txt successor.txt
        kill $daemon
        step ended wait $daemon
        step mediate cat mediate.txt
        step holders holders

        """;
}

/// <summary>One NVMe drive of the lab in three guests at once: one works on while another is killed and the third reboots.</summary>
/// <param name="run">What every test here reads.</param>
public sealed class LabSharedDriveTests(LabSharedDriveRun run) : IClassFixture<LabSharedDriveRun>
{
    private PassthroughStep Step(string name) => PassthroughLab.Step(run.Lab, name);

    [Fact]
    public void A_shared_drive_of_the_lab_serves_a_guest_that_finds_all_that_it_wrote_while_others_come_and_go()
    {
        PassthroughStep guest = Step("one");
        Assert.True(guest.ExitCode == 0, guest.Output);
        Assert.Equal(["67108864", "1"], Assert.Single(guest.Lines("shared"))[3..]);
        Assert.Equal(["20", "0"], Assert.Single(guest.Lines("shared-done"))[2..]);
    }

    [Fact]
    public void A_shared_drive_of_the_lab_outlives_a_guest_that_is_killed_and_keeps_its_share_for_the_next()
    {
        PassthroughStep victim = Step("victim");
        Assert.True(victim.Lines("shared-round").Count >= 3, victim.Output);
        Assert.Equal("1", Assert.Single(victim.Lines("shared"))[4]);
        Assert.Empty(victim.Lines("shared-done"));
        PassthroughStep successor = Step("successor");
        Assert.True(successor.ExitCode == 0, successor.Output);
        Assert.Equal("2", Assert.Single(successor.Lines("shared"))[4]);
        Assert.Equal(["3", "0"], Assert.Single(successor.Lines("shared-done"))[2..]);
    }

    [Fact]
    public void A_shared_drive_of_the_lab_is_there_again_after_a_guest_s_reboot()
    {
        PassthroughStep guest = Step("rebooter");
        Assert.True(guest.ExitCode == 0, guest.Output);
        Assert.Equal(["1", "2"], guest.Lines("shared").Select(static l => l[4]));
        Assert.Equal(["0", "0"], guest.Lines("shared-done").Select(static l => l[3]));
    }

    [Fact]
    public void A_shared_drive_of_the_lab_is_given_back_when_the_mediator_ends()
    {
        Assert.Equal((0, ""), (Step("ended").ExitCode, Step("mediate").Output.Trim()));
        Assert.Equal("0", Step("holders").Output.Trim());
    }
}
