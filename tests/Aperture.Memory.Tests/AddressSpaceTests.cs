namespace Aperture.Memory.Tests;

public sealed class AddressSpaceTests : IDisposable
{
    private readonly RamBlock _ram = RamBlock.Create("test", 0x10000);
    private readonly AddressSpace _space = AddressSpace.ForMemory();

    public void Dispose()
    {
        _space.Dispose();
        _ram.Dispose();
    }

    [Fact]
    public void Several_edits_make_one_view_and_one_difference()
    {
        RecordingListener listener = new();
        _space.AddListener(listener);
        listener.Commits.Clear();
        Region a = Device("a");
        Region b = Device("b");
        using (AddressChange change = _space.Begin())
        {
            change.Place(a, new GuestAddress(0x1000), 0);
            change.Place(b, new GuestAddress(0x2000), 0);
            change.Remove(a);
            change.Place(a, new GuestAddress(0x3000), 0);
            change.Commit();
        }

        (FlatView old, FlatView next, FlatViewDiff diff) = Assert.Single(listener.Commits);
        Assert.Same(FlatView.Empty, old);
        Assert.Same(_space.View, next);
        Assert.Equal([b, a], diff.Added.Select(run => run.Region));
    }

    [Fact]
    public void A_change_without_commit_changes_nothing()
    {
        using (AddressChange change = _space.Begin())
        {
            change.Place(Device("a"), new GuestAddress(0x1000), 0);
        }

        Assert.Same(FlatView.Empty, _space.View);
        Assert.Empty(_space.Placements);
    }

    [Fact]
    public void A_commit_that_changes_no_address_tells_nobody_and_keeps_the_view()
    {
        Region low = Device("below");
        Place(Device("above"), 0x1000, 1);
        RecordingListener listener = new();
        _space.AddListener(listener);
        listener.Commits.Clear();
        FlatView before = _space.View;
        Place(low, 0x1000, 0);
        Assert.Same(before, _space.View);
        Assert.Empty(listener.Commits);
        Assert.Contains(_space.Placements, placement => placement.Region == low);
    }

    [Fact]
    public void A_late_listener_is_brought_to_the_current_view()
    {
        Place(Device("a"), 0x1000, 0);
        RecordingListener listener = new();
        _space.AddListener(listener);
        (FlatView old, FlatView next, FlatViewDiff diff) = Assert.Single(listener.Commits);
        Assert.Same(FlatView.Empty, old);
        Assert.Same(_space.View, next);
        Assert.Single(diff.Added);
    }

    [Fact]
    public void Listeners_see_the_view_that_lookups_see()
    {
        FlatView? seen = null;
        _space.AddListener(new RecordingListener((_, _, _) => seen = _space.View));
        Place(Device("a"), 0x1000, 0);
        Assert.Same(_space.View, seen);
        Assert.Equal(1, seen!.Ranges.Length);
    }

    [Fact]
    public void Vcpus_stand_still_while_listeners_apply_a_replaced_range_of_memory()
    {
        FakeBarrier barrier = new();
        List<bool> stopped = [];
        _space.Barrier = barrier;
        _space.AddListener(new RecordingListener((_, _, _) => stopped.Add(barrier.IsStopped)));
        stopped.Clear();
        Place(Region.ForRam("ram", _ram, 0, 0x4000), 0, 0);
        Region bar = Device("bar");
        Place(bar, 0x1000, 1);
        Remove(bar);
        Assert.Equal([false, true, true], stopped);
        Assert.False(barrier.IsStopped);
        Assert.Equal(2, barrier.Stops);
    }

    [Fact]
    public void Vcpus_run_on_when_memory_comes_goes_or_moves_elsewhere()
    {
        FakeBarrier barrier = new();
        _space.Barrier = barrier;
        Region bar = Region.ForRam("bar", _ram, 0, 0x1000);
        Place(bar, 0x1000, 0);
        using (AddressChange change = _space.Begin())
        {
            change.Remove(bar);
            change.Place(bar, new GuestAddress(0x8000), 0);
            change.Commit();
        }

        Place(Device("device"), 0x1000, 0);
        Remove(bar);
        Assert.Equal(0, barrier.Stops);
    }

    [Fact]
    public void The_barrier_is_left_and_every_listener_follows_when_one_fails()
    {
        FakeBarrier barrier = new();
        _space.Barrier = barrier;
        Place(Region.ForRam("ram", _ram, 0, 0x4000), 0, 0);
        bool fail = false;
        _space.AddListener(new RecordingListener((_, _, _) =>
        {
            if (fail)
            {
                throw new ApertureException("the host is full", ApertureException.HostFailure);
            }
        }));
        RecordingListener second = new();
        _space.AddListener(second);
        second.Commits.Clear();
        fail = true;
        ApertureException thrown = Assert.Throws<ApertureException>(() => Place(Device("bar"), 0x1000, 1));
        Assert.Equal("the host is full", thrown.Message);
        Assert.Equal(ApertureException.HostFailure, thrown.ExitCode);
        Assert.Single(second.Commits);
        Assert.False(barrier.IsStopped);
        fail = false;
        Place(Device("next"), 0x8000, 0); // the change lock was given back
    }

    [Theory]
    [InlineData(0xFFFFUL, 2UL)]
    [InlineData(0x10000UL, 1UL)]
    [InlineData(ulong.MaxValue, 2UL)]
    [InlineData(0UL, 0x10001UL)]
    public void A_region_outside_the_limits_is_refused_and_nothing_is_placed(ulong address, ulong size)
    {
        using AddressSpace ports = AddressSpace.ForPorts();
        using AddressChange change = ports.Begin();
        Region region = Region.Hole("far", size);
        Assert.False(change.TryPlace(region, new GuestAddress(address), 0));
        ApertureException thrown = Assert.Throws<ApertureException>(() => change.Place(region, new GuestAddress(address), 0));
        Assert.Contains("far", thrown.Message, StringComparison.Ordinal);
        Assert.Contains("0x0-0xffff", thrown.Message, StringComparison.Ordinal);
        Assert.False(change.Remove(region));
    }

    [Fact]
    public void The_last_port_can_be_used()
    {
        using AddressSpace ports = AddressSpace.ForPorts();
        using AddressChange change = ports.Begin();
        change.Place(Device("last", 1), new GuestAddress(0xFFFF), 0);
        change.Commit();
        Assert.Equal(0, ports.View.IndexOf(new GuestAddress(0xFFFF)));
    }

    [Fact]
    public void A_region_is_placed_once_at_most()
    {
        Region region = Device("once");
        Place(region, 0, 0);
        Assert.Throws<InvalidOperationException>(() => Place(region, 0x1000, 0));
        Remove(region);
        Place(region, 0x1000, 0);
    }

    [Fact]
    public void A_listener_cannot_change_the_space()
    {
        _space.AddListener(new RecordingListener((_, _, _) =>
        {
            if (_space.View.Ranges.Length > 0)
            {
                Assert.Throws<InvalidOperationException>(() => _space.Begin());
            }
        }));
        Place(Device("a"), 0, 0);
        Remove(_space.Placements[0].Region);
        Assert.Equal(0, _space.View.Ranges.Length);
    }

    [Fact]
    public void An_ended_change_takes_no_more_edits()
    {
        using AddressChange change = _space.Begin();
        change.Commit();
        Assert.Throws<InvalidOperationException>(() => change.Remove(Device("a")));
        Assert.Throws<InvalidOperationException>(change.Commit);
    }

    private static Region Device(string name, int size = 0x1000) => Region.Trapped(name, (ulong)size, new ByteDevice(size));

    private void Place(Region region, ulong address, int priority)
    {
        using AddressChange change = _space.Begin();
        change.Place(region, new GuestAddress(address), priority);
        change.Commit();
    }

    private void Remove(Region region)
    {
        using AddressChange change = _space.Begin();
        Assert.True(change.Remove(region));
        change.Commit();
    }
}
