using Aperture.Pci.Registers;

namespace Aperture.Pci.Tests;

public class ConcurrentReadTests
{
    private const byte Slot = 0x08;
    private static readonly Bdf Place = new(Slot);

    [Fact]
    public void A_read_during_a_write_waits_until_what_the_write_changed_is_in_force()
    {
        RecordingWriteSink sink = new();
        PciHierarchy hierarchy = new(sink);
        PciFunction function = Build.Function();
        function.AddBar(0, BarKind.Memory32, 0x1000);
        hierarchy.Root.Add(Slot, function);
        using ManualResetEventSlim inside = new();
        using ManualResetEventSlim release = new();
        sink.Then = (_, _) =>
        {
            inside.Set();
            release.Wait(TestContext.Current.CancellationToken);
        };
        bool applied = false;
        Thread writer = new(() => hierarchy.ConfigWrite(Place, PciRegisters.Bar0, 4, 0xE000_0000));
        writer.Start();
        inside.Wait(TestContext.Current.CancellationToken);
        bool appliedWhenRead = false;
        bool begun = false;
        uint read = 0;
        Thread reader = new(() =>
        {
            Volatile.Write(ref begun, true);
            read = hierarchy.ConfigRead(Place, PciRegisters.Bar0, 4);
            appliedWhenRead = Volatile.Read(ref applied);
        });
        reader.Start();

        // The register has its new value by now. A reader that does not wait comes to its end, one that does comes to stand at the lock.
        while (reader.IsAlive && !(Volatile.Read(ref begun) && reader.ThreadState.HasFlag(ThreadState.WaitSleepJoin)))
        {
            Thread.Yield();
        }

        Assert.True(reader.IsAlive, "the read did not wait");
        Volatile.Write(ref applied, true);
        release.Set();
        reader.Join();
        writer.Join();
        Assert.Equal(0xE000_0000u, read);
        Assert.True(appliedWhenRead);
    }

    [Fact]
    public void A_write_from_within_the_sink_leaves_later_reads_free_of_the_lock()
    {
        RecordingWriteSink sink = new();
        PciHierarchy hierarchy = new(sink);
        PciFunction function = Build.Function();
        hierarchy.Root.Add(Slot, function);
        sink.Then = (_, _) =>
        {
            sink.Then = null;
            hierarchy.ConfigWrite(Place, PciRegisters.InterruptLine, 1, 7);
            hierarchy.Reset(ResetKind.Cold);
            hierarchy.ConfigWrite(Place, PciRegisters.InterruptLine, 1, 5);
        };
        hierarchy.ConfigWrite(Place, PciRegisters.CacheLineSize, 1, 0x10);
        Assert.Equal(5u, hierarchy.ConfigRead(Place, PciRegisters.InterruptLine, 1));
        uint read = 0;
        lock (hierarchy.Sync)
        {
            Thread reader = new(() => read = hierarchy.ConfigRead(Place, PciRegisters.InterruptLine, 1));
            reader.Start();
            Assert.True(reader.Join(TimeSpan.FromSeconds(30)), "the read waited for the lock");
        }

        Assert.Equal(5u, read);
    }
}
