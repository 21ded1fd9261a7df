using System.Text;
using Aperture.Board;
using Aperture.Machine.Hotplug;
using Aperture.Machine.Tests.Fakes;
using Aperture.Memory;
using Aperture.Pci.Ports;
using Aperture.Pci.Registers;

namespace Aperture.Machine.Tests;

public sealed class HotplugTests : IDisposable
{
    private const uint PowerOff = 0x400;
    private const uint IndicatorOff = 0x300;
    private const uint IndicatorOn = 0x100;
    private const uint IndicatorBlinks = 0x200;
    private const uint ButtonPressed = 1;

    // While not null, what the controller leaves for another thread, to be run by the test.
    private List<Action>? _queue;
    private readonly MemoryStream _log = new();
    private readonly TestBoard _board;
    private readonly HotplugController _hotplug;
    private readonly List<string> _changes = [];

    public HotplugTests()
    {
        _board = TestBoard.WithEvents(
            _log, "--root-port id=rp0,memory=0xe8000000:16M,prefetchable=4G", "--root-port id=rp1", "--device test,id=cold,port=rp1,bar0=mem32:1M:trap");
        _hotplug = new HotplugController(_board.Board, _board.Nodes, _board.Config, _board.Events, Queue)
        {
            Added = f => _changes.Add("+" + f.Name),
            Removed = f => _changes.Add("-" + f.Name),
        };
        _board.Board.AddWatcher(_hotplug);
    }

    private PcieSlotPort Port => (PcieSlotPort)_board.Function("rp0");

    public void Dispose()
    {
        _board.Dispose();
        _log.Dispose();
    }

    [Fact]
    public void Room_that_a_port_keeps_is_a_window_of_it_at_start()
    {
        Assert.Equal(new AddressRange(new GuestAddress(0xE800_0000), 16 << 20), Port.Window(BridgeWindow.Memory));
        Assert.Equal(4UL << 30, Port.Window(BridgeWindow.Prefetchable)!.Value.Size);
    }

    [Fact]
    public async Task An_attached_device_answers_once_the_guest_gave_it_addresses_and_is_gone_after_an_orderly_removal()
    {
        _hotplug.Attach("test,id=nic1,port=rp0,bar0=mem32:1M:trap,bar2=mem64p:64M:ram");
        Assert.Equal(0xA9E7u, _board.Read("nic1", 0, 2));
        Assert.Equal(0x148u, _board.Read("rp0", Port.Express.Offset + 0x1A, 2));
        _board.SetBar("nic1", 0, 0xE800_0000);
        ulong high = Port.Window(BridgeWindow.Prefetchable)!.Value.Start.Value;
        _board.SetBar("nic1", 2, high);
        _board.SetCommand("nic1", PciCommand.MemorySpace);
        Assert.Equal(0x5254_5041u, _board.Load(0xE800_0000));
        Assert.NotNull(_board.Host.At(high));

        Task gone = _hotplug.Detach("nic1", surprise: false);
        Assert.False(gone.IsCompleted);
        Assert.Equal("nic1.bar0", _board.Answers(0xE800_0000));
        WriteControl(PowerOff);
        Assert.Null(_board.Answers(0xE800_0000));
        WriteControl(PowerOff | IndicatorOff);
        await gone;
        Assert.False(Port.IsOccupied);
        Assert.Null(_board.Host.At(high));
        Assert.Equal(["+nic1", "-nic1"], _changes);
        Assert.Contains("\"hotplug.removed\",\"function\":\"nic1\",\"port\":\"rp0\",\"orderly\":true", Log, StringComparison.Ordinal);
    }

    [Fact]
    public void Insertion_into_a_slot_without_power_presses_its_button()
    {
        WriteControl(PowerOff | IndicatorOff);
        _hotplug.Attach("test,id=nic1,port=rp0,bar0=mem32:1M:trap");
        Assert.Equal(0x49u, _board.Read("rp0", Port.Express.Offset + 0x1A, 2));
    }

    [Fact]
    public void A_surprise_removal_needs_no_guest()
    {
        _hotplug.Attach("test,id=nic1,port=rp0,bar0=mem32:1M:trap");
        Assert.True(_hotplug.Detach("nic1", surprise: true).IsCompletedSuccessfully);
        Assert.False(Port.IsOccupied);
        Assert.Contains("\"orderly\":false", Log, StringComparison.Ordinal);
        _hotplug.Attach("test,id=nic1,port=rp0,bar0=mem32:1M:trap");
        Assert.True(Port.IsOccupied);
    }

    // A comparison with the plan may come at any time: it would miss the device otherwise.
    [Fact]
    public void A_device_is_told_to_leave_while_it_is_still_on_the_board_and_to_be_gone_when_it_is_not()
    {
        List<string> told = [];
        _hotplug.Leaving = f => told.Add($"{f.Name} leaves {f.Bus is not null}");
        _hotplug.Removed = f => told.Add($"{f.Name} gone {f.Bus is null}");
        _hotplug.Attach("test,id=nic1,port=rp0,bar0=mem32:1M:trap");
        _ = _hotplug.Detach("nic1", surprise: true);
        Assert.Equal(["nic1 leaves True", "nic1 gone True"], told);
    }

    [Fact]
    public void A_device_that_was_there_at_start_leaves_too_and_a_reboot_does_without_it()
    {
        Task gone = _hotplug.Detach("cold", surprise: false);
        Assert.False(gone.IsCompleted);
        _hotplug.Reset();
        Assert.True(gone.IsCompletedSuccessfully);
        _board.Board.Reset();
        PciProgrammer.Program(_board.Board, _board.Map);
        Assert.DoesNotContain(_board.Board.Pci.Functions, f => f.Name == "cold");
    }

    [Fact]
    public void Power_off_that_nobody_asked_for_takes_no_device_out_and_power_on_brings_it_back()
    {
        _hotplug.Attach("test,id=nic1,port=rp0,bar0=mem32:1M:trap");
        WriteControl(PowerOff | IndicatorOff);
        Assert.Equal(0xFFFFu, _board.Read(new Bdf((byte)Port.SecondaryBus, 0, 0), 0, 2));
        WriteControl(0x100);
        Assert.Equal(0xA9E7u, _board.Read(new Bdf((byte)Port.SecondaryBus, 0, 0), 0, 2));
        Assert.True(Port.IsOccupied);
    }

    [Fact]
    public void A_guest_that_turns_power_off_and_on_queues_one_removal()
    {
        _queue = [];
        _hotplug.Attach("test,id=nic1,port=rp0,bar0=mem32:1M:trap");
        Task gone = _hotplug.Detach("nic1", surprise: false);
        for (int i = 0; i < 100; i++)
        {
            WriteControl(PowerOff | IndicatorOff | (uint)(i % 4) << 6);
            WriteControl(PowerOff | IndicatorBlinks);
        }

        WriteControl(PowerOff | IndicatorOff);
        Assert.Single(_queue)();
        Assert.True(gone.IsCompletedSuccessfully);
        Assert.False(Port.IsOccupied);
    }

    [Fact]
    public void A_removal_that_comes_late_leaves_what_was_attached_meanwhile()
    {
        _queue = [];
        _hotplug.Attach("test,id=nic1,port=rp0,bar0=mem32:1M:trap");
        Task gone = _hotplug.Detach("nic1", surprise: false);
        WriteControl(PowerOff | IndicatorOff);
        Assert.True(_hotplug.Detach("nic1", surprise: true).IsCompletedSuccessfully);
        Assert.True(gone.IsCompletedSuccessfully);
        _hotplug.Attach("test,id=nic1,port=rp0,bar0=mem32:2M:trap");
        Assert.Single(_queue)();
        Assert.True(Port.IsOccupied);
        Task second = _hotplug.Detach("nic1", surprise: false);
        _queue[0]();
        Assert.Equal((true, 2), (second.IsCompletedSuccessfully, _changes.Count(c => c == "-nic1")));
    }

    [Fact]
    public void A_guest_that_has_power_on_again_before_the_removal_keeps_the_device_until_it_turns_it_off()
    {
        _queue = [];
        _hotplug.Attach("test,id=nic1,port=rp0,bar0=mem32:1M:trap");
        Task gone = _hotplug.Detach("nic1", surprise: false);
        WriteControl(PowerOff | IndicatorOff);
        WriteControl(IndicatorOn);
        Assert.Single(_queue)();
        Assert.True(Port.IsOccupied);
        WriteControl(PowerOff | IndicatorOff);
        Assert.Equal(2, _queue.Count);
        _queue[1]();
        Assert.True(gone.IsCompletedSuccessfully);
    }

    [Fact]
    public void A_request_that_the_guest_takes_back_is_over_and_the_device_stays()
    {
        _hotplug.Attach("test,id=nic1,port=rp0,bar0=mem32:1M:trap");
        Task gone = _hotplug.Detach("nic1", surprise: false);
        WriteControl(IndicatorBlinks);
        WriteControl(IndicatorOn);
        Assert.Contains("nic1 stays", Assert.IsType<ApertureException>(gone.Exception?.InnerException).Message, StringComparison.Ordinal);
        Assert.Contains("\"hotplug.cancelled\",\"function\":\"nic1\",\"port\":\"rp0\"", Log, StringComparison.Ordinal);

        // What the guest does with the slot later, and its reset, are no answer to it any more.
        WriteControl(PowerOff | IndicatorOff);
        _hotplug.Reset();
        Assert.True(Port.IsOccupied);
        Assert.True(_hotplug.Detach("nic1", surprise: false).IsCompletedSuccessfully);
    }

    [Fact]
    public void A_second_request_presses_the_button_only_where_that_takes_nothing_back()
    {
        _hotplug.Attach("test,id=nic1,port=rp0,bar0=mem32:1M:trap");
        Task gone = _hotplug.Detach("nic1", surprise: false);
        int status = Port.Express.Offset + 0x1A;
        Assert.Equal(ButtonPressed, _board.Read("rp0", status, 2) & ButtonPressed);
        _board.Write("rp0", status, ButtonPressed, 2);
        _hotplug.Detach("nic1", surprise: false);
        Assert.Equal(ButtonPressed, _board.Read("rp0", status, 2) & ButtonPressed);
        _board.Write("rp0", status, ButtonPressed, 2);
        WriteControl(IndicatorBlinks);
        Assert.Same(gone, _hotplug.Detach("nic1", surprise: false));
        Assert.Equal(0u, _board.Read("rp0", status, 2) & ButtonPressed);
    }

    [Theory]
    [InlineData("test,id=nic1,bar0=mem32:1M:trap", "say which with port=ID")]
    [InlineData("test,id=nic1,port=rp7", "rp7 is not there; empty ports are rp0")]
    [InlineData("test,id=nic1,port=cold", "cold is not a port with a slot")]
    [InlineData("test,id=nic1,port=rp1", "rp1, where cold is")]
    [InlineData("test,id=cold,port=rp0", "The id cold is taken")]
    [InlineData("test,id=nic1,port=rp0,addr=00.1", "the device has no function 0")]
    [InlineData("test,id=nic1,port=rp0,bar0=mem32:1M:trap,bars=bar0@0xea000000",
        "nic1 bar0 cannot be pinned at 0xea000000-0xea0fffff: rp0 forwards 0xe8000000-0xe8ffffff")]
    [InlineData("test,id=nic1,port=rp0,bar0=mem32:1M:trap,bars=bar0@0xe8000800", "nic1 bar0 cannot be pinned at 0xe8000800: the address of a mem32 BAR of 1M")]
    [InlineData("test,id=nic1,port=rp0,bar0=mem64:1M:trap,bars=bar0@0xfffffffffff00000", "ends at or below 0x7fffffffffffffff")]
    [InlineData("debug-exit,port=0xf4", "cannot come or go")]
    [InlineData("vfio,fd=7654,port=rp0",
        "fd=7654 cannot be attached: it is not a descriptor of /dev/vfio/devices/vfioN, neither of the one that asks nor of the machine; open the device for")]
    public void What_cannot_be_attached_is_refused_in_one_sentence_and_changes_nothing(string spec, string words)
    {
        int before = _board.Board.Pci.Functions.Count();
        Assert.Contains(words, Assert.Throws<ApertureException>(() => _hotplug.Attach(spec)).Message, StringComparison.Ordinal);
        Assert.Equal(before, _board.Board.Pci.Functions.Count());
        Assert.Contains("\"hotplug.refused\"", Log, StringComparison.Ordinal);
        Assert.False(Port.IsOccupied);
    }

    [Fact]
    public void Memory_of_a_device_leaves_the_guest_also_when_its_ports_cannot()
    {
        using TestBoard board = TestBoard.WithEvents(_log, "--device test,id=both,addr=05.0,bar0=mem32:64K:ram,bar1=io:256");
        ulong at = board.BarAt("both", 0);
        Assert.NotNull(board.Host.At(at));
        board.Board.Ports.AddListener(new RefusingListener());
        Assert.Equal("no", Assert.Throws<ApertureException>(() => board.Board.Unplug(board.Function("both"))).Message);
        Assert.Null(board.Host.At(at));
    }

    // Takes the view that there is, and then nothing.
    private sealed class RefusingListener : IFlatViewListener
    {
        private bool _began;

        public void Commit(FlatView old, FlatView next, FlatViewDiff diff)
        {
            if (_began)
            {
                throw new ApertureException("no");
            }

            _began = true;
        }
    }

    [Theory]
    [InlineData("none", "There is no device none")]
    [InlineData("rp0", "on the root bus, which is not a slot")]
    public void What_is_in_no_slot_is_not_detached(string id, string words) =>
        Assert.Contains(words, Assert.Throws<ApertureException>(() => { _ = _hotplug.Detach(id, surprise: true); }).Message, StringComparison.Ordinal);

    [Fact]
    public void A_pinned_BAR_of_an_attached_device_decodes_at_its_pin()
    {
        _hotplug.Attach("test,id=nic1,port=rp0,bar0=mem32:1M:trap,bars=bar0@0xe8000000");
        Assert.Equal(0xE800_0000u, _board.Read("nic1", 0x10));
        _board.SetCommand("nic1", PciCommand.MemorySpace);
        Assert.Equal("nic1.bar0", _board.Answers(0xE800_0000));
    }

    [Fact]
    public void A_32_bit_BAR_is_not_pinned_in_a_window_above_4_GiB()
    {
        ulong high = Port.Window(BridgeWindow.Prefetchable)!.Value.Start.Value;
        string spec = $"test,id=nic1,port=rp0,bar0=mem32:1M:trap,bars=bar0@0x{high:x}";
        Assert.Contains("ends at or below 0xffffffff", Assert.Throws<ApertureException>(() => _hotplug.Attach(spec)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_device_that_the_ports_windows_cannot_hold_is_attached_with_a_note_that_says_what_to_keep()
    {
        _hotplug.Attach("test,id=big,port=rp0,bar0=mem32:16M:trap,bar1=mem64p:8G:trap,bar3=mem64p:32M:trap");
        Assert.Contains("big bar1 (8G) and bar3 (32M) do not fit its port's prefetchable window", Log, StringComparison.Ordinal);
        Assert.Contains("--root-port id=rp0,prefetchable=8224M", Log, StringComparison.Ordinal);
    }

    [Fact]
    public void A_window_that_begins_at_no_multiple_of_the_bar_needs_more_than_the_bars_size()
    {
        Port.ProgramWindow(BridgeWindow.Memory, new AddressRange(new GuestAddress(0xE880_0000), 16 << 20));
        _hotplug.Attach("test,id=odd,port=rp0,bar0=mem32:16M:trap");
        Assert.Contains("odd bar0 (16M) does not fit its port's memory window, 0xe8800000-0xe97fffff (16M)", Log, StringComparison.Ordinal);
        Assert.Contains("--root-port id=rp0,memory=31M", Log, StringComparison.Ordinal);
    }

    [Fact]
    public void A_device_that_fits_is_attached_without_a_note()
    {
        _hotplug.Attach("test,id=fits,port=rp0,bar0=mem32:16M:trap,bar1=mem64p:4G:trap");
        Assert.DoesNotContain("do not fit", Log, StringComparison.Ordinal);
        Assert.DoesNotContain("does not fit", Log, StringComparison.Ordinal);
    }

    private void Queue(Action work)
    {
        if (_queue is { } queue)
        {
            queue.Add(work);
        }
        else
        {
            ThreadPool.UnsafeQueueUserWorkItem(static work => work(), work, preferLocal: false);
        }
    }

    private string Log => Encoding.UTF8.GetString(_log.ToArray());

    private void WriteControl(uint value) => _board.Write("rp0", Port.Express.Offset + 0x18, value, 2);
}
