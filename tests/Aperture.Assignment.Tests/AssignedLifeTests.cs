using Aperture.TestKit.Parts.Assigned;

namespace Aperture.Assignment.Tests;

/// <summary>How an assigned function lives and ends.</summary>
public class AssignedLifeTests
{
    [Fact]
    public void The_hosts_request_and_errors_are_told()
    {
        using Bench bench = Bench.Nvme();
        Assert.True(bench.Device.Raise(VfioIrqIndex.Request));
        Bench.Eventually(() => bench.Events.Seen.Contains("unplug"));
        Assert.True(bench.Device.Raise(VfioIrqIndex.Error));
        Bench.Eventually(() => bench.Events.Seen.Contains("error"));
    }

    [Fact]
    public void A_fault_on_the_devices_thread_is_told_and_ends_the_thread_not_the_process()
    {
        using Bench bench = Bench.Nvme();
        bench.Events.OnUnplug = () => throw new InvalidOperationException("a mistake");
        Assert.True(bench.Device.Raise(VfioIrqIndex.Request));
        Bench.Eventually(() => bench.Events.Seen.Length > 0);
        bench.Function.Dispose();
        Assert.Equal(["thread failed: a mistake"], bench.Events.Seen);
    }

    [Fact]
    public void A_device_that_disappears_reads_all_ones_everywhere_and_is_reported_once()
    {
        using Bench bench = new(SampleConfig.Nvme(), new AssignedOptions("dev") { TrapAll = true });
        IAccessHandler bar = bench.Function.PartsOf(bench.Function.FindBar(0)!)[0].Region.Handler!;
        bench.Device.ReadErrno = 19;
        Assert.Equal(0xFFu, bench.Read(0xC4, 1));
        bar.Read(0, 8, out ulong value);
        Assert.Equal(ulong.MaxValue, value);
        bar.Write(0, 4, 1);
        bench.Write(0xC4, 4, 1);
        bench.Enable();
        bench.Write(0x78, 2, 0x8000);
        Assert.Equal(uint.MaxValue, bench.Read(0, 4));
        Assert.Single(bench.Events.Seen, "gone 19");
        Assert.True(bench.Function.IsGone);
    }

    [Fact]
    public void A_single_failing_access_does_not_make_a_device_gone()
    {
        using Bench bench = new(SampleConfig.Nvme(), new AssignedOptions("dev") { TrapAll = true });
        IAccessHandler bar = bench.Function.PartsOf(bench.Function.FindBar(0)!)[0].Region.Handler!;
        bench.Device.Contents[0] = [];
        bar.Read(0, 4, out ulong value);
        Assert.Equal(0xFFFF_FFFFul, value);
        Assert.False(bench.Function.IsGone);
        Assert.Empty(bench.Events.Seen);
    }

    [Fact]
    public void Disposing_turns_interrupts_off_then_the_device_then_unmaps_then_closes_and_only_once()
    {
        Bench bench = Bench.Nvme();
        bench.Enable();
        bench.Program(0, masked: false);
        bench.SetMsix(true);
        _ = bench.Function.PartsOf(bench.Function.FindBar(0)!);
        bench.Log.Clear();
        bench.Function.Dispose();
        bench.Function.Dispose();
        Assert.Equal(
            ["unroute", "disable 2", "disable 4", "disable 3", "write 7 0x4 0000", "write 7 0x44 0000", "unmap 0", "close"],
            bench.Log);
        Assert.Equal(1, bench.Device.Disposals);
    }

    [Fact]
    public void After_disposal_accesses_read_all_ones_and_the_device_is_not_touched()
    {
        Bench bench = new(SampleConfig.Nvme(), new AssignedOptions("dev") { TrapAll = true });
        IAccessHandler bar = bench.Function.PartsOf(bench.Function.FindBar(0)!)[0].Region.Handler!;
        bench.Function.Dispose();
        bench.Log.Clear();
        bar.Read(0, 4, out ulong value);
        bar.Write(0, 4, 1);
        bench.Write(0xC4, 4, 1);
        bench.Program(0, masked: false);
        bench.SetMsix(true);
        Assert.Equal(uint.MaxValue, value);
        Assert.Equal(uint.MaxValue, bench.Read(0xC4, 4));
        Assert.Empty(bench.Log);
        Assert.Empty(bench.Events.Seen);
    }

    [Fact]
    public void Disposing_and_making_again_leaves_no_descriptor_behind()
    {
        Cycle();
        int before = Directory.GetFiles("/proc/self/fd").Length;
        for (int i = 0; i < 20; i++)
        {
            Cycle();
        }

        // Other tests open and close descriptors meanwhile; a leak of one a cycle would still show.
        Assert.InRange(Directory.GetFiles("/proc/self/fd").Length, 0, before + 15);

        static void Cycle()
        {
            using Bench bench = Bench.Nvme();
            bench.Enable();
            bench.Function.IntxGsi = 3;
            for (int vector = 0; vector < 8; vector++)
            {
                bench.Program(vector, masked: false);
            }

            bench.SetMsix(true);
        }
    }
}
