using FsCheck;
using FsCheck.Fluent;

namespace Aperture.Kvm.Tests;

public class EntryGateTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    private enum Step
    {
        Hold,
        Release,
        Stop,
        Resume,
        HoldFromVcpu,
        ParkOne,
    }

    // A vCPU without KVM: "inside" it only waits for its kick, which stays pending like the signal. It works on a shared word that nobody may touch
    // while a hold is in force, and that is the oracle.
    private sealed class FakeVcpu
    {
        private readonly EntryGate.Seat _seat;
        private readonly World _world;
        private readonly Thread _thread;
        private int _kicked;
        private int _wantsHold;
        private int _wantsPark;

        public FakeVcpu(EntryGate gate, World world)
        {
            _world = world;
            _seat = gate.AddSeat(() => Volatile.Write(ref _kicked, 1));
            _thread = new Thread(() => Loop(gate)) { IsBackground = true };
        }

        public void Start() => _thread.Start();

        public bool Join() => _thread.Join(Patience);

        public void AskHold() => Volatile.Write(ref _wantsHold, 1);

        public void AskPark() => Volatile.Write(ref _wantsPark, 1);

        public void CancelWishes()
        {
            Volatile.Write(ref _wantsHold, 0);
            Volatile.Write(ref _wantsPark, 0);
        }

        private void Loop(EntryGate gate)
        {
            while (true)
            {
                if (!_seat.TryEnter())
                {
                    if (!_seat.Wait())
                    {
                        return;
                    }

                    continue;
                }

                for (int turn = 0; turn < 200 && Volatile.Read(ref _kicked) == 0; turn++)
                {
                    _world.InGuest();
                }

                // A kick takes its time to be noticed, and whoever holds must wait for that.
                for (int turn = 0; turn < 5; turn++)
                {
                    _world.InGuest();
                    Thread.SpinWait(20);
                }

                _seat.Leave();
                Volatile.Write(ref _kicked, 0);
                if (Interlocked.Exchange(ref _wantsHold, 0) != 0)
                {
                    lock (_world.Map)
                    {
                        using VcpuHold hold = gate.Hold();
                        _world.ChangeMap();
                    }
                }

                if (Interlocked.Exchange(ref _wantsPark, 0) != 0)
                {
                    _seat.Park();
                    if (!_seat.Wait())
                    {
                        return;
                    }
                }
            }
        }
    }

    private sealed class World
    {
        private int _changing;
        private long _ran;
        private int _violations;

        public object Map { get; } = new();

        public long Ran => Volatile.Read(ref _ran);

        public int Violations => Volatile.Read(ref _violations);

        public void InGuest()
        {
            if (Volatile.Read(ref _changing) != 0)
            {
                Interlocked.Increment(ref _violations);
            }

            Interlocked.Increment(ref _ran);
        }

        public void ChangeMap()
        {
            Interlocked.Increment(ref _changing);
            Thread.SpinWait(50);
            Interlocked.Decrement(ref _changing);
        }

        public void BeginChange() => Interlocked.Increment(ref _changing);

        public void EndChange() => Interlocked.Decrement(ref _changing);
    }

    [Fact]
    public void Whatever_the_order_of_holds_stops_and_parks_no_guest_runs_during_a_hold_and_all_run_again()
    {
        Gen<(int, Step[])> runs =
            from cpus in Gen.Choose(1, 4)
            from steps in Gen.Elements(Enum.GetValues<Step>()).ArrayOf(24)
            select (cpus, steps);
        Prop.ForAll(runs.ToArbitrary(), run => Play(run.Item1, run.Item2)).Holds(60);
    }

    [Fact]
    public void Threads_and_vCPUs_that_hold_all_at_once_never_block_each_other()
    {
        EntryGate gate = new();
        World world = new();
        FakeVcpu[] vcpus = [.. Enumerable.Range(0, 3).Select(_ => new FakeVcpu(gate, world))];
        Array.ForEach(vcpus, vcpu => vcpu.Start());
        Assert.True(gate.WaitStopped(Patience));
        gate.Resume();
        Thread[] holders = [.. Enumerable.Range(0, 3).Select(_ => new Thread(() =>
        {
            for (int round = 0; round < 300; round++)
            {
                lock (world.Map)
                {
                    using VcpuHold outer = gate.Hold();
                    using VcpuHold inner = gate.Hold();
                    world.ChangeMap();
                }

                vcpus[round % vcpus.Length].AskHold();
            }
        }) { IsBackground = true })];
        Array.ForEach(holders, holder => holder.Start());
        Assert.All(holders, holder => Assert.True(holder.Join(Patience), "a holder is stuck"));
        long before = world.Ran;
        Assert.True(SpinWait.SpinUntil(() => world.Ran > before, Patience), "the guests do not run any more");
        gate.Close();
        Assert.All(vcpus, vcpu => Assert.True(vcpu.Join(), "a vCPU is stuck"));
        Assert.Equal(0, world.Violations);
    }

    // Processors make stores visible in their order: behind stores to lines that no cache has, the seat's to _inside is on its way for long after it read
    // _attention.
    // Without the barrier on every processor (or with one on the holder's only) a hold then finds nobody inside who is; where two processors run the two
    // threads, in many holds.
    [Fact]
    public void A_seat_that_enters_at_the_moment_of_a_hold_is_seen_or_turns_back()
    {
        const int Holds = 20_000;
        EntryGate gate = new();
        EntryGate.Seat seat = gate.AddSeat(() => { });
        int changing = 0;
        int violations = 0;
        long entered = 0;
        bool over = false;
        byte[] far = new byte[1 << 26];
        Thread vcpu = new(() =>
        {
            uint place = 1;
            while (!Volatile.Read(ref over))
            {
                for (int line = 0; line < 12; line++)
                {
                    place = (place * 1_664_525) + 1_013_904_223;
                    far[place >> 6] = 1;
                }

                if (seat.TryEnter())
                {
                    entered++;
                    for (int turn = 0; turn < 200; turn++)
                    {
                        violations += Volatile.Read(ref changing);
                    }

                    seat.Leave();
                }
            }
        })
        {
            IsBackground = true,
        };
        gate.Resume();
        vcpu.Start();
        for (int round = 0; round < Holds; round++)
        {
            // Both threads run at this moment, or the hold says nothing.
            long seen = Volatile.Read(ref entered);
            while (Volatile.Read(ref entered) == seen)
            {
                Thread.SpinWait(1);
            }

            using (gate.Hold())
            {
                Volatile.Write(ref changing, 1);
                Thread.SpinWait(20);
                Volatile.Write(ref changing, 0);
            }

            // Other moments of the seat's loop each time.
            Thread.SpinWait(20 + (round % 97));
        }

        Volatile.Write(ref over, true);
        Assert.True(vcpu.Join(Patience), "the vCPU is stuck");
        Assert.Equal(0, violations);
        Assert.NotEqual(0, entered);
    }

    [Fact]
    public void Resuming_what_is_not_at_rest_is_refused()
    {
        EntryGate gate = new();
        EntryGate.Seat seat = gate.AddSeat(() => { });
        gate.Resume();
        Assert.Throws<InvalidOperationException>(gate.Resume);
        Assert.True(seat.TryEnter());
        Assert.True(gate.RequestStop());
        Assert.False(gate.RequestStop());
        Assert.Throws<InvalidOperationException>(gate.Resume);
        Assert.False(gate.WaitStopped(TimeSpan.Zero));
    }

    [Fact]
    public void A_hold_that_is_disposed_twice_counts_once()
    {
        EntryGate gate = new();
        EntryGate.Seat seat = gate.AddSeat(() => { });
        gate.Resume();
        VcpuHold first = gate.Hold();
        VcpuHold second = gate.Hold();
        first.Dispose();
        first.Dispose();
        Assert.False(seat.TryEnter());
        second.Dispose();
        Assert.True(seat.TryEnter());
    }

    private static void Play(int cpus, Step[] steps)
    {
        EntryGate gate = new();
        World world = new();
        FakeVcpu[] vcpus = [.. Enumerable.Range(0, cpus).Select(_ => new FakeVcpu(gate, world))];
        Array.ForEach(vcpus, vcpu => vcpu.Start());
        Stack<VcpuHold> holds = new();
        Assert.True(gate.WaitStopped(Patience));
        gate.Resume();
        bool stopped = false;
        for (int at = 0; at < steps.Length; at++)
        {
            switch (steps[at])
            {
                case Step.Hold:
                    holds.Push(gate.Hold());
                    if (holds.Count == 1)
                    {
                        world.BeginChange();
                    }

                    break;
                case Step.Release when holds.Count > 0:
                    if (holds.Count == 1)
                    {
                        world.EndChange();
                    }

                    holds.Pop().Dispose();
                    break;
                case Step.Stop:
                    gate.RequestStop();
                    Assert.True(gate.WaitStopped(Patience), "a stop did not end");
                    stopped = true;
                    break;
                case Step.Resume when stopped:
                    gate.Resume();
                    stopped = false;
                    break;
                case Step.HoldFromVcpu:
                    vcpus[at % cpus].AskHold();
                    break;
                case Step.ParkOne:
                    vcpus[at % cpus].AskPark();
                    break;
            }
        }

        if (holds.Count > 0)
        {
            world.EndChange();
        }

        while (holds.TryPop(out VcpuHold? hold))
        {
            hold.Dispose();
        }

        // From any state: stop, resume, and the guests run.
        gate.RequestStop();
        Assert.True(gate.WaitStopped(Patience), "the last stop did not end");
        Array.ForEach(vcpus, vcpu => vcpu.CancelWishes());
        gate.Resume();
        long before = world.Ran;
        Assert.True(SpinWait.SpinUntil(() => world.Ran > before, Patience), "the guests do not run any more");
        gate.Close();
        Assert.All(vcpus, vcpu => Assert.True(vcpu.Join(), "a vCPU is stuck"));
        Assert.Equal(0, world.Violations);
    }
}
