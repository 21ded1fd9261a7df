using Aperture.Pci.Capabilities;
using Aperture.Pci.Ports;
using Aperture.Pci.Registers;

namespace Aperture.Pci.Tests;

/// <summary>The hooks for functions with hardware behind them.</summary>
public class HardwareHookTests
{
    private sealed class Hooked(List<string> log) : PciFunction("hooked", Build.Identity)
    {
        protected internal override void OnChangeApplied(ConfigChange change) =>
            log.Add((change & ConfigChange.FunctionReset) != 0 ? "applied reset" : "applied");

        protected internal override void OnPlaced() => log.Add($"placed {DeviceFunction:x2}");

        protected override void OnCommandProgrammed() => log.Add("programmed");

        protected override void OnReset(ResetKind kind) => log.Add("reset");
    }

    // Not ready from each write of its cache line size on.
    private sealed class Slow(List<string> log) : PciFunction("slow", Build.Identity)
    {
        public Action Settling { get; set; } = static () => { };

        protected internal override void OnChangeApplied(ConfigChange change) => log.Add("applied");

        protected override ConfigChange OnConfigWritten(int offset, int size, uint value)
        {
            IsReady = offset != PciRegisters.CacheLineSize;
            return ConfigChange.None;
        }

        protected internal override void Settle(PciHierarchy hierarchy)
        {
            log.Add("settle");
            Settling();
            hierarchy.Change(this, () =>
            {
                log.Add("ready");
                return IsReady = true;
            });
        }
    }

    private sealed class Follower(Action<PciFunction> recall) : IVectorListener
    {
        public List<string> Seen { get; } = [];

        public PciFunction? Function { get; set; }

        public void VectorsChanged(IMessageVectors source, int first, int count) => Seen.Add($"changed {first}+{count}");

        public void CollectPending(IMessageVectors source, int first, int count)
        {
            Seen.Add($"collect {first}+{count}");
            recall(Function!);
        }
    }

    private static (PciHierarchy Pci, List<string> Log, RootPort Port, Hooked Function) Make()
    {
        List<string> log = [];
        RecordingWriteSink sink = new() { Then = (_, _) => log.Add("map") };
        PciHierarchy pci = new(sink);
        RootPort port = new("port", 1);
        Hooked function = new(log);
        pci.Root.Add(0x08, port);
        port.Secondary.Add(0, function);
        port.ProgramBusNumbers(0, 1, 1);
        return (pci, log, port, function);
    }

    [Fact]
    public void A_function_is_told_of_its_place_when_it_is_put_on_a_bus() => Assert.Equal(["placed 00"], Make().Log);

    [Fact]
    public void A_function_is_told_that_a_change_was_applied_after_the_sink_returned()
    {
        var (pci, log, _, function) = Make();
        log.Clear();
        pci.ConfigWrite(function.Bdf, PciRegisters.Command, 2, 2);
        Assert.Equal(["map", "applied"], log);
    }

    [Fact]
    public void A_bus_reset_reaches_every_function_below_and_is_applied_after_the_sink_returned()
    {
        var (pci, log, port, _) = Make();
        log.Clear();
        pci.ConfigWrite(port.Bdf, PciRegisters.BridgeControl, 2, PciBridge.SecondaryBusReset);
        Assert.Equal(["reset", "map", "applied reset"], log);
    }

    [Fact]
    public void After_a_reset_of_everything_the_machine_says_when_it_was_applied()
    {
        var (pci, log, _, _) = Make();
        log.Clear();
        pci.Reset(ResetKind.Cold);
        Assert.Equal(["reset"], log);
        pci.ResetApplied();
        Assert.Equal(["reset", "applied reset"], log);
    }

    [Fact]
    public void A_function_that_is_not_ready_answers_nothing_and_is_settled_without_the_lock_while_others_answer()
    {
        List<string> log = [];
        RecordingWriteSink sink = new() { Then = (_, _) => log.Add("written"), OnChanged = _ => log.Add("changed") };
        PciHierarchy pci = new(sink);
        Slow slow = new(log);
        PciFunction other = Build.Function("other");
        pci.Root.Add(0x08, slow);
        pci.Root.Add(0x10, other);
        slow.Settling = () =>
        {
            Assert.False(pci.Sync.IsHeldByCurrentThread);
            pci.ConfigWrite(slow.Bdf, PciRegisters.InterruptLine, 1, 9);
            pci.ConfigWrite(other.Bdf, PciRegisters.InterruptLine, 1, 9);
            Assert.Equal(uint.MaxValue, pci.ConfigRead(slow.Bdf, 0, 4));
            Assert.Equal(0x5678_1234u, pci.ConfigRead(other.Bdf, 0, 4));
        };
        pci.ConfigWrite(slow.Bdf, PciRegisters.CacheLineSize, 1, 1);
        Assert.Equal(["written", "applied", "settle", "written", "ready", "changed", "applied"], log);
        Assert.Equal(0x5678_1234u, pci.ConfigRead(slow.Bdf, 0, 4));
        Assert.Equal((0u, 9u), (pci.ConfigRead(slow.Bdf, PciRegisters.InterruptLine, 1), pci.ConfigRead(other.Bdf, PciRegisters.InterruptLine, 1)));

        // Nothing is told of a change that was none, and what is ready is not settled.
        log.Clear();
        pci.Change(slow, () => false);
        pci.ConfigWrite(slow.Bdf, PciRegisters.InterruptLine, 1, 9);
        Assert.Equal(["written", "applied"], log);
    }

    [Fact]
    public void Programming_the_command_register_is_told()
    {
        var (_, log, _, function) = Make();
        log.Clear();
        function.ProgramCommand(PciCommand.MemorySpace, PciCommand.MemorySpace);
        Assert.Equal(["programmed"], log);
    }

    [Fact]
    public void An_extended_capability_goes_where_it_is_asked_to_and_the_first_one_only_to_0x100()
    {
        PciFunction function = Build.Function();
        Assert.Throws<ApertureException>(() => function.AddCapability(new SerialNumberCapability(1), 0x140));
        function.AddCapability(new SerialNumberCapability(1));
        function.AddCapability(new AriCapability(), 0x200);
        Assert.Equal(0x200u, function.ReadConfig(0x100, 4) >> 20);
        Assert.Throws<ApertureException>(() => function.AddCapability(new AriCapability(), 0x204));
    }

    [Fact]
    public void A_listener_collects_before_vectors_are_sent_so_that_one_message_goes_out()
    {
        PciHierarchy pci = new(null, new RecordingMsiSink());
        RecordingMsiSink sink = (RecordingMsiSink)pci.MsiSink!;
        PciFunction function = Build.Function();
        MsixCapability msix = new(4, 0, 0, 0, 0x800);
        function.AddCapability(msix);
        pci.Root.Add(0, function);
        Follower follower = new(f => msix.Trigger(1)) { Function = function };
        msix.Listener = follower;
        Build.Enable(function);
        msix.Trigger(1);
        function.WriteConfig(msix.Offset + 2, 2, 0x8000);
        follower.Seen.Clear();
        msix.Table.Write(16 + 12, 4, 0);
        Assert.Equal(["collect 1+1", "changed 1+1"], follower.Seen);
        Assert.Single(sink.Sent);
        follower.Seen.Clear();
        msix.PendingBits.Read(0, 8, out _);
        Assert.Equal(["collect 0+64"], follower.Seen);
    }

    [Fact]
    public void A_vector_may_be_sent_only_while_enabled_unmasked_and_mastering()
    {
        PciFunction function = Build.Function();
        MsixCapability msix = new(2, 0, 0, 0, 0x800);
        MsiCapability msi = new(2);
        function.AddCapability(msix);
        function.AddCapability(msi);
        msix.Table.Write(0, 8, 0xFEE0_1000);
        msix.Table.Write(8, 8, 0x42);
        function.WriteConfig(msix.Offset + 2, 2, 0x8000);
        Assert.False(msix.MaySend(0, out _));
        Build.Enable(function);
        Assert.True(msix.MaySend(0, out MsiMessage message));
        Assert.Equal(new MsiMessage(new GuestAddress(0xFEE0_1000), 0x42), message);
        Assert.False(msix.MaySend(1, out _));
        Assert.False(msix.MaySend(2, out _));
        function.WriteConfig(msix.Offset + 2, 2, 0xC000);
        Assert.False(msix.MaySend(0, out _));
        function.WriteConfig(msi.Offset + 2, 2, 1);
        Assert.True(msi.MaySend(0, out _));
        Assert.False(msi.MaySend(1, out _));
        function.WriteConfig(msi.Offset + 2, 2, 0x11);
        Assert.True(msi.MaySend(1, out _));
        function.WriteConfig(msi.PendingBitsRegister!.Value - 4, 4, 2);
        Assert.False(msi.MaySend(1, out _));
    }

    [Theory]
    [InlineData(2, false)]
    [InlineData(3, true)]
    public void Power_management_shows_the_version_and_state_it_is_given(byte version, bool keeps)
    {
        PciFunction function = Build.Function();
        PowerManagementCapability power = new(version, keeps);
        function.AddCapability(power);
        Assert.Equal(version, function.ReadConfig(power.Offset + 2, 2));
        Assert.Equal(keeps ? 8u : 0, function.ReadConfig(power.Offset + 4, 2));
    }
}
