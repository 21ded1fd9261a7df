using System.Text;
using Aperture.Machine.Hotplug;
using Aperture.Machine.Tests.Fakes;
using Aperture.Pci;
using Aperture.Pci.Ports;

namespace Aperture.Machine.Tests.Assigned;

/// <summary>A host that asks for a device back. Test devices stand for the host's.</summary>
public sealed class DeviceReturnTests : IDisposable
{
    private const uint PowerOff = 0x400;
    private const uint IndicatorOff = 0x300;

    private readonly MemoryStream _log = new();
    private readonly TestBoard _board;
    private readonly HotplugController _hotplug;
    private readonly TaskCompletionSource _gone = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public DeviceReturnTests()
    {
        _board = TestBoard.WithEvents(
            _log, "--root-port id=rp0", "--device test,id=plugged,port=rp0,bar0=mem32:1M:trap", "--device test,id=fixed,addr=04.0,bar0=mem32:64K:ram");
        _hotplug = new HotplugController(_board.Board, _board.Nodes, _board.Config, _board.Events) { Removed = _ => _gone.TrySetResult() };
        _board.Board.AddWatcher(_hotplug);
    }

    public void Dispose()
    {
        _board.Dispose();
        _log.Dispose();
    }

    [Fact]
    public async Task A_device_without_a_slot_is_gone_for_the_guest_at_once()
    {
        using DeviceReturn giving = Giving();
        ulong at = _board.BarAt("fixed", 0);
        PciFunction function = _board.Function("fixed");
        Assert.NotNull(_board.Host.At(at));
        giving.Begin(function);
        giving.Begin(function);
        await _gone.Task.WaitAsync(TestContext.Current.CancellationToken);
        Assert.DoesNotContain(_board.Board.Pci.Functions, f => f.Name == "fixed");
        Assert.Null(_board.Host.At(at));
        Assert.Contains("\"hotplug.removed\",\"function\":\"fixed\",\"orderly\":false", Encoding.UTF8.GetString(_log.ToArray()), StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_the_host_asks_for_while_the_machine_is_put_together_is_given_back_then()
    {
        using DeviceReturn giving = new(_board.Events);
        giving.Begin(_board.Function("fixed"));
        Assert.Contains(_board.Board.Pci.Functions, f => f.Name == "fixed");
        giving.Serve(_hotplug);
        await _gone.Task.WaitAsync(TestContext.Current.CancellationToken);
        Assert.DoesNotContain(_board.Board.Pci.Functions, f => f.Name == "fixed");
    }

    [Fact]
    public async Task A_guest_is_asked_for_what_sits_in_a_slot_and_keeps_it_until_it_lets_go()
    {
        using DeviceReturn giving = Giving();
        PcieSlotPort port = (PcieSlotPort)_board.Function("rp0");
        giving.Begin(_board.Function("plugged"));
        const uint ButtonPressed = 1;
        while ((_board.Read("rp0", port.Express.Offset + 0x1A, 2) & ButtonPressed) == 0)
        {
            await Task.Delay(10, TestContext.Current.CancellationToken);
        }

        Assert.True(port.IsOccupied);
        _board.Write("rp0", port.Express.Offset + 0x18, PowerOff | IndicatorOff, 2);
        await _gone.Task.WaitAsync(TestContext.Current.CancellationToken);
        Assert.False(port.IsOccupied);
        Assert.Contains("\"orderly\":true", Encoding.UTF8.GetString(_log.ToArray()), StringComparison.Ordinal);
    }

    [Fact]
    public void A_machine_that_ends_does_not_wait_for_the_guest()
    {
        DeviceReturn giving = Giving();
        giving.Begin(_board.Function("plugged"));
        giving.Dispose();
        Assert.True(((PcieSlotPort)_board.Function("rp0")).IsOccupied);
    }

    private DeviceReturn Giving()
    {
        DeviceReturn giving = new(_board.Events);
        giving.Serve(_hotplug);
        return giving;
    }
}
