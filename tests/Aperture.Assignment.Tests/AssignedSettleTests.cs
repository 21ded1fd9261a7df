using Aperture.Pci;
using Aperture.Pci.Ports;
using Aperture.Pci.Registers;
using FsCheck;
using FsCheck.Fluent;

namespace Aperture.Assignment.Tests;

/// <summary>What takes the hardware long, resets and changes of the power state, is done without the hierarchy's lock.</summary>
public sealed class AssignedSettleTests : IDisposable
{
    private const int PowerControl = 0x44;
    private const int DeviceControl = 0x78;
    private readonly ManualResetEventSlim _held = new();
    private readonly SemaphoreSlim _entered = new(0);
    private readonly Bench _bench = Bench.Nvme();

    public AssignedSettleTests() => _bench.Enable();

    public void Dispose()
    {
        _held.Set();
        _bench.Dispose();
        _held.Dispose();
        _entered.Dispose();
    }

    [Fact]
    public void No_wait_for_the_hardware_has_the_lock()
    {
        _bench.Device.OnReset = () => Assert.False(_bench.Pci.Sync.IsHeldByCurrentThread);
        _bench.Device.OnWrite = (_, offset) => Assert.False(offset == PowerControl && _bench.Pci.Sync.IsHeldByCurrentThread);
        _bench.Write(PowerControl, 2, 3);
        _bench.Write(PowerControl, 2, 0);
        _bench.Write(DeviceControl, 2, 0x8000);
        _bench.Pci.ConfigWrite(_bench.Port!.Bdf, PciRegisters.BridgeControl, 2, PciBridge.SecondaryBusReset);
        _bench.Pci.Reset(ResetKind.Cold);
        _bench.Pci.ResetApplied();
        Assert.Equal(3, _bench.Log.Count(step => step == "reset"));
        Assert.Single(_bench.Log, "write 7 0x44 0300");
    }

    [Fact]
    public async Task A_port_that_resets_a_device_in_its_reset_has_it_reset_again_and_only_then_it_answers()
    {
        Hold();
        Task first = Start(() => _bench.Write(DeviceControl, 2, 0x8000));
        await _entered.WaitAsync(TestContext.Current.CancellationToken);
        Bdf port = _bench.Port!.Bdf;
        Task second = Start(() => _bench.Pci.ConfigWrite(port, PciRegisters.BridgeControl, 2, PciBridge.SecondaryBusReset));
        Bench.Eventually(() => (_bench.Pci.ConfigRead(port, PciRegisters.BridgeControl, 2) & PciBridge.SecondaryBusReset) != 0);
        _bench.Pci.ConfigWrite(port, PciRegisters.BridgeControl, 2, 0);
        Assert.Equal(uint.MaxValue, _bench.Read(0, 4));
        _bench.Device.OnReset = () => Assert.Equal(uint.MaxValue, _bench.Read(0, 4));
        _held.Set();
        await Task.WhenAll(first, second);
        Assert.Equal(2, _bench.Log.Count(step => step == "reset"));
        Assert.Equal(0xA808_144Du, _bench.Read(0, 4));
    }

    [Fact]
    public async Task A_device_that_is_taken_out_in_its_reset_is_given_back_after_it_and_answers_no_more()
    {
        Hold();
        Task reset = Start(() => _bench.Write(DeviceControl, 2, 0x8000));
        await _entered.WaitAsync(TestContext.Current.CancellationToken);
        _bench.Port!.Secondary.Remove(_bench.Function);
        Task gone = Start(_bench.Function.Dispose);
        Assert.DoesNotContain("close", _bench.Log);
        _held.Set();
        await Task.WhenAll(reset, gone);
        Assert.False(_bench.Function.IsReady);
        int end = _bench.Log.LastIndexOf("reset");
        Assert.Equal(_bench.Log.Count - 1, _bench.Log.IndexOf("close"));
        Assert.DoesNotContain(_bench.Log[end..], step => step.StartsWith("triggers", StringComparison.Ordinal));
    }

    [Fact]
    public void What_is_reset_along_with_another_answers_nothing_and_its_device_is_not_touched()
    {
        int writes = _bench.Device.ConfigWrites.Count;
        _bench.Device.IsResetAlong = true;
        _bench.Device.OnRead = (_, _) => Assert.Fail("it was read");
        Assert.Equal(uint.MaxValue, _bench.Read(0, 4));
        Assert.Equal(0xFFu, _bench.Read(0xC4, 1));
        _bench.Write(0xC4, 1, 1);
        _bench.Enable(PciCommand.None);
        Assert.Equal(writes, _bench.Device.ConfigWrites.Count);
        _bench.Device.OnRead = null;
        _bench.Device.IsResetAlong = false;
        Assert.Equal(0xA808_144Du, _bench.Read(0, 4));
        Assert.Equal(PciCommand.MemorySpace | PciCommand.BusMaster, _bench.Function.Command);
    }

    [Fact]
    public void In_D3hot_the_hosts_intx_is_off_and_comes_back_with_D0()
    {
        _bench.Function.IntxGsi = 18;
        Assert.Equal([18u], _bench.Guest.Levels);
        _bench.Write(PowerControl, 2, 3);
        Assert.Empty(_bench.Guest.Levels);
        Assert.Empty(_bench.Device.Enabled(VfioIrqIndex.Intx));
        _bench.Write(PowerControl, 2, 0);
        Assert.Equal([18u], _bench.Guest.Levels);
        Assert.True(_bench.Device.Raise(VfioIrqIndex.Intx));
    }

    [Fact]
    public void Whatever_two_vcpus_order_the_device_ends_ready_and_as_the_registers_say()
    {
        Gen<int[]> orders = Gen.Choose(0, 6).ArrayOf();
        Prop.ForAll(orders.ToArbitrary(), orders.ToArbitrary(), (first, second) =>
        {
            using Bench bench = Bench.Nvme();
            bench.Device.OnReset = static () => Thread.Yield();
            Task[] vcpus = [.. new[] { first, second }.Select(each => Start(() => Array.ForEach(each, order => Order(bench, order))))];
            Assert.True(Task.WaitAll(vcpus, TimeSpan.FromMinutes(1)));
            bench.Pci.ConfigWrite(bench.Port!.Bdf, PciRegisters.BridgeControl, 2, 0);
            Assert.True(bench.Function.IsReady);
            Assert.Equal((ushort)bench.Function.Command, BitConverter.ToUInt16(bench.Device.Config, PciRegisters.Command));
            Assert.Equal(bench.Read(PowerControl, 2) & 3, bench.Device.Config[PowerControl] & 3u);
            Assert.Equal(0xA808_144Du, bench.Read(0, 4));
        }).Holds();
    }

    private static void Order(Bench bench, int order)
    {
        Bdf port = bench.Port!.Bdf;
        switch (order)
        {
            case 0:
                bench.Write(DeviceControl, 2, 0x8000);
                break;
            case 1 or 2:
                bench.Pci.ConfigWrite(port, PciRegisters.BridgeControl, 2, order == 1 ? PciBridge.SecondaryBusReset : 0);
                break;
            case 3 or 4:
                bench.Write(PowerControl, 2, order == 3 ? 3u : 0);
                break;
            case 5:
                bench.Enable(PciCommand.MemorySpace | PciCommand.InterruptDisable);
                break;
            default:
                Assert.Contains(bench.Read(0, 4), (uint[])[0xA808_144D, uint.MaxValue]);
                break;
        }
    }

    private void Hold() => _bench.Device.OnReset = () =>
    {
        _entered.Release();
        _held.Wait();
    };

    private static Task Start(Action work) => Task.Run(work, TestContext.Current.CancellationToken);
}
