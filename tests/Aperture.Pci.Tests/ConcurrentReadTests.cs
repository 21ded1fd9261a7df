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

    [Theory]
    [InlineData(0x40, 4)]
    [InlineData(0x43, 1)]
    [InlineData(0x3E, 4)]
    [InlineData(0x42, 4)]
    public void A_register_whose_read_has_an_effect_is_read_once_whatever_is_written_meanwhile(int offset, int size)
    {
        PciHierarchy hierarchy = new();
        CountingFunction function = new();
        hierarchy.Root.Add(Slot, function);
        hierarchy.ConfigRead(Place, 0, 4);

        // The lock may be taken again by the thread that has it, so a write can come within the read on one thread; to the hierarchy it is another's.
        function.Meanwhile = () => hierarchy.ConfigWrite(Place, PciRegisters.InterruptLine, 1, 5);
        Assert.Equal(1u, hierarchy.ConfigRead(Place, offset, size));
        Assert.Equal(1u, function.Read);
        Assert.Equal(2u, hierarchy.ConfigRead(Place, offset, size));
        Assert.Equal(2u, function.Read);
    }

    [Fact]
    public void A_register_without_an_effect_is_read_again_when_something_was_written_meanwhile()
    {
        PciHierarchy hierarchy = new();
        CountingFunction function = new();
        hierarchy.Root.Add(Slot, function);
        hierarchy.ConfigRead(Place, 0, 4);
        function.Meanwhile = () => hierarchy.ConfigWrite(Place, PciRegisters.InterruptLine, 1, 5);
        hierarchy.ConfigRead(Place, 0x44, 4);
        Assert.Equal(2u, function.Read);
    }

    /// <summary>Every read of 0x40 to 0x47 counts and answers with the count; the word at 0x40 says so.</summary>
    private sealed class CountingFunction : PciFunction
    {
        public CountingFunction()
            : base("counting", new PciIdentity(0x1234, 0x5678, 0xFF0000)) => Config.DefineReadEffect(0x41, 1);

        public uint Read { get; private set; }

        public Action? Meanwhile { get; set; }

        public override uint ReadConfig(int offset, int size)
        {
            if (offset + size <= 0x40 || offset >= 0x48)
            {
                return base.ReadConfig(offset, size);
            }

            uint count = ++Read;
            Meanwhile?.Invoke();
            return count;
        }
    }
}
