using Aperture.Assignment;
using Aperture.Machine.Assigned;
using Aperture.Machine.Tests.Fakes;
using Aperture.Memory;
using Aperture.Pci.Registers;
using Aperture.TestKit.Parts.Assigned;

namespace Aperture.Machine.Tests.Assigned;

/// <summary>An assigned NVMe drive on a board; the device, the hypervisor and the IOMMU are doubles.</summary>
public sealed class AssignedBoardTests : IDisposable
{
    private const string Name = "nvme0";
    private readonly SysfsHost _host = new();
    private readonly FakeDevice _device = SampleConfig.Nvme();
    private readonly FakeGuest _guest = new();
    private readonly FakeIommu _iommu = new();
    private readonly IommuListener _listener;

    public AssignedBoardTests() => _listener = new IommuListener(_iommu);

    [Fact]
    public void The_parts_of_a_bar_are_in_the_view_at_the_hosts_address_and_the_slots_and_the_iommu_are_what_the_view_says()
    {
        using TestBoard board = Make("bars=all=host");
        string table = board.Answers(SysfsHost.NvmeBar + 0x2000)!;
        Assert.NotNull(board.Answers(SysfsHost.NvmeBar));
        Assert.NotEqual(table, board.Answers(SysfsHost.NvmeBar));
        MemorySlot slot = Assert.Single(board.Slots.Slots, s => s.Region.Kind == RegionKind.Device);
        Assert.Equal(new AddressRange(new GuestAddress(SysfsHost.NvmeBar), 0x2000), slot.Range);
        Assert.Null(board.Slots.Verify());
        Assert.Null(_listener.Verify());
        Assert.Contains(slot.Range, _iommu.Mapped.Keys);
        Assert.All(board.Ram.Pieces, piece => Assert.Contains(_iommu.Mapped.Keys, mapped => mapped.Overlaps(piece.Range)));
    }

    [Fact]
    public void Decoding_that_is_turned_off_takes_the_slots_and_the_dma_mappings_before_the_device_hears_of_it()
    {
        using TestBoard board = Make("bars=all=host");
        int mappedWhenTold = -1;
        AddressRange bar = new(new GuestAddress(SysfsHost.NvmeBar), 0x2000);
        int writes = _device.ConfigWrites.Count;
        board.Board.Memory.AddListener(new Watcher(() => mappedWhenTold = _device.ConfigWrites.Count - writes));
        board.SetCommand(Name, PciCommand.None);
        Assert.Equal(0, mappedWhenTold);
        Assert.Contains(_device.ConfigWrites.Skip(writes), w => w.Offset == 4 && (w.Bytes[0] & 2) == 0);
        Assert.DoesNotContain(board.Slots.Slots, s => s.Region.Kind == RegionKind.Device);
        Assert.DoesNotContain(bar, _iommu.Mapped.Keys);
        board.SetCommand(Name, PciCommand.MemorySpace);
        Assert.Contains(bar, _iommu.Mapped.Keys);
    }

    [Fact]
    public void A_pinned_bar_stays_where_it_is_and_the_device_never_sees_the_write()
    {
        using TestBoard board = Make("bars=all=host");
        int writes = _device.ConfigWrites.Count;
        board.SetBar(Name, 0, 0xC000_0000);
        Assert.Equal(SysfsHost.NvmeBar, board.BarAt(Name, 0));
        Assert.NotNull(board.Answers(SysfsHost.NvmeBar));
        Assert.DoesNotContain(_device.ConfigWrites.Skip(writes), w => w.Offset is >= 0x10 and < 0x28);
    }

    [Fact]
    public void A_bar_that_is_not_pinned_moves_with_all_its_parts()
    {
        using TestBoard board = Make("policy=follow,bars=bar0@0xa0004000");
        board.SetCommand(Name, PciCommand.None);
        board.SetBar(Name, 0, SysfsHost.NvmeBar + 0x8000);
        board.SetCommand(Name, PciCommand.MemorySpace);
        Assert.Null(board.Answers(SysfsHost.NvmeBar + 0x4000));
        Assert.NotNull(board.Answers(SysfsHost.NvmeBar + 0x8000));
        Assert.Equal("0xa000a000",
            Assert.Single(board.Board.Memory.View.Ranges.ToArray(), r => r.Region.Name == board.Answers(SysfsHost.NvmeBar + 0xA000)
                && r.Range.Start.Value == SysfsHost.NvmeBar + 0xA000).Range.Start.ToString());
    }

    [Fact]
    public void The_boards_reset_resets_the_device_with_its_bars_out_of_the_guest_and_they_come_back_at_their_pins()
    {
        using TestBoard board = Make("bars=all=host");
        _device.Log.Clear();
        board.Board.Reset();
        Assert.DoesNotContain(board.Slots.Slots, s => s.Region.Kind == RegionKind.Device);
        Assert.Contains(_device.Log, line => line.Contains("reset", StringComparison.OrdinalIgnoreCase));
        board.SetCommand("rp0", PciCommand.MemorySpace | PciCommand.BusMaster);
        Assert.Equal(SysfsHost.NvmeBar, board.BarAt(Name, 0));
    }

    [Fact]
    public async Task A_reset_that_takes_long_holds_up_no_access_to_other_functions_and_the_map_is_right_before_during_and_after_it()
    {
        using TestBoard board = Make("bars=all=host", null, "--device test,id=other,addr=05.0,bar0=mem32:64K:trap");
        Bdf drive = board.Function(Name).Bdf;
        ulong at = board.BarAt("other", 0);
        using ManualResetEventSlim held = new();
        using SemaphoreSlim entered = new(0);
        _device.OnReset = () =>
        {
            entered.Release();
            held.Wait();
        };
        Assert.NotNull(board.Answers(SysfsHost.NvmeBar));
        Task reset = Task.Run(() => board.Board.Pci.ConfigWrite(drive, 0x78, 2, 0x8000), TestContext.Current.CancellationToken);
        await entered.WaitAsync(TestContext.Current.CancellationToken);

        // Another vCPU, with writes that change the map: all of it is done before the reset ends.
        int writes = _device.ConfigWrites.Count;
        await Task.Run(
            () =>
            {
                Assert.Null(board.Answers(SysfsHost.NvmeBar));
                board.SetCommand("other", PciCommand.None);
                Assert.Null(board.Answers(at));
                board.SetCommand("other", PciCommand.MemorySpace);
                Assert.Equal("other.bar0", board.Answers(at));
                Assert.Equal(uint.MaxValue, board.Read(drive, 0));
                board.Write(drive, 4, 2, (uint)PciCommand.MemorySpace);
            },
            TestContext.Current.CancellationToken).WaitAsync(TimeSpan.FromMinutes(1), TestContext.Current.CancellationToken);
        Assert.False(reset.IsCompleted);
        Assert.Equal(writes, _device.ConfigWrites.Count);
        held.Set();
        await reset;
        Assert.Equal(0xA808_144Du, board.Read(drive, 0));
        Assert.Equal(0u, board.Read(drive, 4, 2));
        Assert.Null(board.Answers(SysfsHost.NvmeBar));
        board.SetCommand(Name, PciCommand.MemorySpace);
        Assert.NotNull(board.Answers(SysfsHost.NvmeBar));
        Assert.Null(board.Slots.Verify());
        Assert.Null(_listener.Verify());
    }

    [Fact]
    public void A_device_that_is_away_is_out_of_the_guest_until_a_reset_finds_it_and_is_then_as_after_one()
    {
        _device.MayReturn = true;
        using TestBoard board = Make("bars=all=host");
        Bdf drive = board.Function(Name).Bdf;
        Assert.NotNull(board.Answers(SysfsHost.NvmeBar));
        _device.GoAway();
        Until(() => board.Answers(SysfsHost.NvmeBar) is null);
        Assert.DoesNotContain(board.Slots.Slots, s => s.Region.Kind == RegionKind.Device);
        Assert.Equal(uint.MaxValue, board.Read(drive, 0));

        // What the guest writes changes nothing of that.
        board.Write(drive, 4, 2, (uint)PciCommand.MemorySpace);
        Assert.Equal(uint.MaxValue, board.Read(drive, 0));
        Assert.Null(board.Slots.Verify());
        Assert.Null(_listener.Verify());
        _device.IsBack = true;
        Until(() => board.Read(drive, 0) == 0xA808_144Du);
        Assert.Equal(0u, board.Read(drive, 4, 2) & 7);
        board.SetCommand(Name, PciCommand.MemorySpace);
        Assert.NotNull(board.Answers(SysfsHost.NvmeBar));
        Assert.Null(board.Slots.Verify());

        // A reset of the machine looks for it at once.
        _device.GoAway();
        Until(() => !board.Function(Name).IsReady);
        board.Board.Reset();
        Assert.False(board.Function(Name).IsReady);
        _device.IsBack = true;
        board.Board.Reset();
        Assert.True(board.Function(Name).IsReady);

        static void Until(Func<bool> condition) => Assert.True(SpinWait.SpinUntil(condition, 30_000));
    }

    [Fact]
    public void A_device_that_wakes_is_mapped_again_once_it_is_awake()
    {
        using TestBoard board = Make("bars=all=host");
        board.Write(Name, 0x44, 3, 2);
        Assert.Null(board.Answers(SysfsHost.NvmeBar));
        bool? decodesWhenTold = null;
        _device.OnWrite = (region, offset) => decodesWhenTold = offset == 0x44 ? board.Answers(SysfsHost.NvmeBar) is not null : decodesWhenTold;
        board.Write(Name, 0x44, 0, 2);
        Assert.False(decodesWhenTold);
        Assert.NotNull(board.Answers(SysfsHost.NvmeBar));
        Assert.Null(board.Slots.Verify());
        Assert.Null(_listener.Verify());
    }

    [Fact]
    public void Intx_is_wired_to_the_input_that_the_guest_is_told()
    {
        using TestBoard board = Make("bars=all=host");
        AssignedFunction function = (AssignedFunction)board.Function(Name);
        Assert.InRange(function.IntxGsi!.Value, 16u, 23u);
    }

    [Fact]
    public void A_device_that_is_not_what_the_host_said_is_refused_and_given_back()
    {
        FakeDevice other = FakeDevice.With(SampleConfig.Header(0x144D, 0xA808, 0x010802).Put32(0x10, 4).Bytes, SampleConfig.Intx).AddRegion(0, 0x8000);
        ApertureException fault = Assert.Throws<ApertureException>(() => Make("bars=all=host", other));
        Assert.StartsWith("nvme0 bar0 is mem64 of 32K now that the device is open; the host said mem64 of 16K before", fault.Message, StringComparison.Ordinal);
        Assert.True(other.IsDisposed);
    }

    [Fact]
    public void The_board_gives_the_device_back_once()
    {
        Make("bars=all=host").Dispose();
        Assert.Equal(1, _device.Disposals);
    }

    public void Dispose() => _host.Dispose();

    private TestBoard Make(string options, FakeDevice? device = null, params string[] more)
    {
        TestBoard board = TestBoard.WithHost(
            _host.Read(), events => new AssignedFunctionMaker(_ => device ?? _device, _guest, new AssignedNotices(events, _ => { }, Assert.Fail), events),
            ["--root-port id=rp0", $"--device vfio,host={SysfsHost.Nvme},id={Name},port=rp0,{options}", .. more]);
        board.Board.Memory.AddListener(_listener);
        return board;
    }

    private sealed class Watcher(Action told) : IFlatViewListener
    {
        public void Commit(FlatView old, FlatView next, FlatViewDiff diff)
        {
            if (!ReferenceEquals(old, next) && diff.Removed.Any(r => r.Region.Kind == RegionKind.Device))
            {
                told();
            }
        }
    }

    /// <summary>An I/O address space with the kernel's rules: no overlap, and only what was mapped is unmapped.</summary>
    private sealed class FakeIommu : IIommuMap
    {
        public Dictionary<AddressRange, HostAddress> Mapped { get; } = [];

        public IReadOnlyList<AddressRange> Ranges => [];

        public ulong PageSize => 4096;

        public int Map(AddressRange range, HostAddress host, bool writable)
        {
            Assert.DoesNotContain(Mapped.Keys, other => other.Overlaps(range));
            Mapped.Add(range, host);
            return 0;
        }

        public int Unmap(AddressRange range)
        {
            Assert.True(Mapped.Remove(range), $"{range} is not mapped");
            return 0;
        }

        public string WhyNot(int errno, AddressRange range, ulong locked, bool isDevice) => "the test refuses nothing";

        public void Dispose()
        {
        }
    }
}
