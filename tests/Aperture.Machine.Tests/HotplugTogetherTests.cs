using System.Text;
using Aperture.Assignment;
using Aperture.Machine.Assigned;
using Aperture.Machine.Hotplug;
using Aperture.Machine.Tests.Fakes;
using Aperture.Pci;
using Aperture.Pci.Ports;
using Aperture.Pci.Registers;
using Aperture.TestKit.Parts.Assigned;

namespace Aperture.Machine.Tests;

/// <summary>Functions that come into one slot together and leave it together.</summary>
public sealed class HotplugTogetherTests : IDisposable
{
    private const uint PowerOff = 0x400;
    private const uint IndicatorOff = 0x300;
    private const uint PresenceChanged = 8;
    private const string Gpu = "test,id=gpu,port=rp0,bar0=mem32:1M:trap";
    private const string Audio = "test,id=audio,bar0=mem32:64K:trap";
    private const string Vf0 = "vfio,host=" + SysfsHost.Vf0 + ",id=vf0,port=rp0";
    private const string Vf1 = "vfio,host=" + SysfsHost.Vf1 + ",id=vf1,port=rp0";

    private readonly MemoryStream _log = new();
    private readonly SysfsHost _host = new();
    private readonly TestBoard _board;
    private readonly HotplugController _hotplug;
    private readonly List<string> _changes = [];

    // What the maker opens, in this order.
    private readonly Queue<FakeDevice> _devices = [];

    public HotplugTogetherTests()
    {
        _board = TestBoard.WithHost(
            _host.Read(),
            events => new AssignedFunctionMaker(_ => _devices.Dequeue(), new FakeGuest(), new AssignedNotices(events, _ => { }, Assert.Fail), events),
            "--root-port id=rp0,memory=0xe8000000:16M", "--root-port id=rp1", "--device test,id=cold,port=rp1,bar0=mem32:1M:trap");
        _board.Events.Subscribe(Watch.EventLog.To(_log));
        _hotplug = new HotplugController(_board.Board, _board.Nodes, _board.Config, _board.Events, host: _host.Read())
        {
            Added = f => _changes.Add($"+{f.Name} {Present}"),
            Removed = f => _changes.Add($"-{f.Name}"),
        };
        _board.Board.AddWatcher(_hotplug);
    }

    private PcieSlotPort Port => (PcieSlotPort)_board.Function("rp0");

    private uint Status => _board.Read("rp0", Port.Express.Offset + 0x1A, 2);

    // The functions in the slot, and whether the guest was told of a change.
    private string Present => $"[{string.Join(" ", Port.Secondary.Functions.Select(f => f.Name))}{((Status & PresenceChanged) != 0 ? " told" : "")}]";

    private string Log => Encoding.UTF8.GetString(_log.ToArray());

    public void Dispose()
    {
        _board.Dispose();
        _host.Dispose();
        _log.Dispose();
    }

    [Fact]
    public void All_are_there_before_the_guest_is_told_and_answer_as_functions_of_one_device()
    {
        Assert.Equal(["gpu", "audio"], _hotplug.Attach(Gpu, Audio).Select(f => f.Name));
        Assert.Equal(["+gpu [gpu audio]", "+audio [gpu audio]"], _changes);
        Assert.Equal("[gpu audio told]", Present);
        Bdf gpu = _board.Function("gpu").Bdf;
        Assert.Equal(new Bdf(gpu.Bus, 0, 1), _board.Function("audio").Bdf);
        Assert.Equal((0x80u, 0x80u), (_board.Read("gpu", 0x0E, 1), _board.Read("audio", 0x0E, 1)));
        _board.SetBar("gpu", 0, 0xE800_0000);
        _board.SetBar("audio", 0, 0xE810_0000);
        _board.SetCommand("gpu", PciCommand.MemorySpace);
        _board.SetCommand("audio", PciCommand.MemorySpace);
        Assert.Equal(("gpu.bar0", "audio.bar0"), (_board.Answers(0xE800_0000), _board.Answers(0xE810_0000)));
        Assert.Equal(2, Log.Split("\"hotplug.added\"").Length - 1);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Who_asks_for_one_of_them_gets_all_out_in_one_step(bool surprise)
    {
        _hotplug.Attach(Gpu, Audio);
        _changes.Clear();
        _board.Write("rp0", Port.Express.Offset + 0x1A, PresenceChanged, 2);
        Task<IReadOnlyList<string>> gone = _hotplug.Detach("audio", surprise);
        if (!surprise)
        {
            Assert.Same(gone, _hotplug.Detach("gpu", surprise: false));
            _board.Write("rp0", Port.Express.Offset + 0x18, PowerOff | IndicatorOff, 2);
        }

        Assert.Equal(["gpu", "audio"], await gone);
        Assert.Equal("[ told]", Present);
        Assert.Equal(["-gpu", "-audio"], _changes);
        Assert.Equal(2, Log.Split("\"hotplug.removed\"").Length - 1);
        _hotplug.Attach(Gpu, Audio);
        Assert.True(Port.IsOccupied);
    }

    [Theory]
    [InlineData("test,id=audio,bar0=mem32:64K:trap,bars=bar0@0xea000000", "audio bar0 cannot be pinned at")]
    [InlineData("test,id=cold", "The id cold is taken")]
    [InlineData("test,id=audio,port=rp1", "one request fills one slot")]
    [InlineData("vfio,host=0000:06:10.0,id=vf0", "vf0 bar0 is mem32 of 1M now that the device is open")]
    public void When_one_cannot_come_none_is_there_and_the_guest_is_told_nothing(string other, string words)
    {
        FakeDevice wrong = SampleConfig.Teaching();
        _devices.Enqueue(wrong);
        int before = _board.Board.Pci.Functions.Count();
        foreach (string[] specs in new string[][] { [Gpu, other], [Gpu, Audio.Replace("audio", "third", StringComparison.Ordinal), other] })
        {
            Assert.Contains(words, Assert.Throws<ApertureException>(() => _hotplug.Attach(specs)).Message, StringComparison.Ordinal);
            Assert.Equal("[]", Present);
            _devices.Enqueue(wrong);
        }

        Assert.Equal(before, _board.Board.Pci.Functions.Count());
        Assert.Empty(_changes);
        Assert.Equal(2, Log.Split("\"hotplug.refused\"").Length - 1);
        _hotplug.Attach(Gpu, Audio);
        Assert.Equal("[gpu audio told]", Present);
    }

    [Fact]
    public void Devices_of_the_host_are_all_open_and_none_is_on_the_bus_when_they_are_reset_and_keep_their_numbers()
    {
        (FakeDevice first, FakeDevice second) = (Function(), Function());
        _hotplug.Made = made =>
        {
            Assert.Equal(["vf0", "vf1"], made.Select(f => f.Name));
            Assert.Empty(_devices);
            Assert.Equal("[]", Present);
            Assert.False(_board.Board.Pci.Sync.IsHeldByCurrentThread);
            _changes.Add("made");
        };
        Enqueue(first, second);
        _hotplug.Attach(Vf0, Vf1);
        Assert.Equal(["made", "+vf0 [vf0 vf1]", "+vf1 [vf0 vf1]"], _changes);
        Assert.Equal((0, 2), (_board.Function("vf0").Bdf.Function, _board.Function("vf1").Bdf.Function));
        Assert.True(_hotplug.Detach("vf0", surprise: true).IsCompletedSuccessfully);
        Assert.Equal((1, 1), (first.Disposals, second.Disposals));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Devices_of_the_host_that_were_opened_are_given_back_quiet_when_another_or_their_reset_fails(bool inReset)
    {
        (FakeDevice first, FakeDevice second) = (Function(), inReset ? Function() : SampleConfig.Teaching());
        _hotplug.Made = _ => throw new ApertureException("the reset failed");
        Enqueue(first, second);
        Assert.Contains(
            inReset ? "the reset failed" : "vf1 bar0 is", Assert.Throws<ApertureException>(() => _hotplug.Attach(Vf0, Vf1)).Message, StringComparison.Ordinal);
        Assert.Equal((1, 1), (first.Disposals, second.Disposals));
        Assert.Equal("close", first.Log[^1]);
        Assert.Equal(0, first.Config[PciRegisters.Command]);
        Assert.Equal("[]", Present);

        _hotplug.Made = null;
        Enqueue(Function(), Function());
        Assert.Equal(2, _hotplug.Attach(Vf0, Vf1).Count);
    }

    [Fact]
    public void Bars_that_do_not_fit_together_are_told_though_each_would_fit()
    {
        _hotplug.Attach("test,id=gpu,port=rp0,bar0=mem32:16M:trap", "test,id=audio,bar1=mem32:64K:trap");
        Assert.Contains("gpu bar0 (16M) and audio bar1 (64K) do not fit their port's memory window", Log, StringComparison.Ordinal);
        Assert.Contains("--root-port id=rp0,memory=17M", Log, StringComparison.Ordinal);
        Assert.Equal(2, Log.Split("do not fit").Length);
    }

    [Fact]
    public async Task A_host_that_asks_for_both_of_a_slot_gets_both_and_hears_of_no_failure()
    {
        _hotplug.Attach(Gpu, Audio);
        PciFunction[] both = [_board.Function("gpu"), _board.Function("audio")];
        using (DeviceReturn giving = new(_board.Events))
        {
            giving.Serve(_hotplug);
            giving.Begin(both[0]);
            while ((Status & 1) == 0)
            {
                await Task.Delay(10, TestContext.Current.CancellationToken);
            }

            Task gone = _hotplug.Detach(both[1], surprise: false);
            _board.Write("rp0", Port.Express.Offset + 0x18, PowerOff | IndicatorOff, 2);
            await gone;
            giving.Begin(both[1]);
        }

        Assert.DoesNotContain("vfio.return-failed", Log, StringComparison.Ordinal);
        Assert.Equal(2, Log.Split("\"hotplug.removed\"").Length - 1);
    }

    private void Enqueue(params FakeDevice[] devices)
    {
        _devices.Clear();
        Array.ForEach(devices, _devices.Enqueue);
    }

    // As the described host has the VFs: one prefetchable 64-bit BAR of 16 KiB.
    private static FakeDevice Function() =>
        FakeDevice.With(SampleConfig.Header(0x8086, 0x10CA, 0x020000).Put32(0x10, 0xC).Bytes, SampleConfig.Intx).AddRegion(0, 0x4000);
}
