using System.Globalization;
using System.Text;
using Aperture.Configuration;
using Aperture.Host;
using Aperture.Host.Model;
using Aperture.Machine.Hotplug;
using Aperture.Machine.Tests.Fakes;
using Aperture.Machine.Topology;
using Aperture.Machine.Verification;
using Aperture.Pci;
using Aperture.Pci.Capabilities;
using Aperture.Pci.Ports;
using Aperture.Placement.Request;
using FsCheck;
using FsCheck.Fluent;

namespace Aperture.Machine.Tests;

/// <summary>Test devices with virtual functions, on a board: planned, programmed, enabled and reached as a guest does.</summary>
public class VirtualFunctionTests
{
    private const uint Enable = 1;
    private const uint MemoryEnable = 8;
    private const string Nic = "--device test,id=nic,port=rp0,bar0=mem32:1M,vfs=8,vf-bar0=mem64p:16K,vf-bar3=mem32:512";

    private static TestBoard Planned() => TestBoard.Direct("--root-port id=rp0", Nic);

    private static int Capability(TestBoard board) => board.Function("nic").Find<SriovCapability>()!.Offset;

    // Extended registers are in the ECAM window only.
    private static ulong Place(TestBoard board, int register) =>
        board.Map.Ecam!.Value.Start.Value + ((ulong)board.Function("nic").Bdf.RoutingId << 12) + (ulong)(Capability(board) + register);

    private static void Set(TestBoard board, int register, uint value, int size = 2) => board.Store(Place(board, register), value, size);

    private static uint Get(TestBoard board, int register) => (uint)board.Load(Place(board, register));

    private static void EnableVfs(TestBoard board, uint count)
    {
        Set(board, 0x10, count);
        Set(board, 8, Enable | MemoryEnable);
    }

    [Fact]
    public void The_plan_has_room_for_all_VFs_and_the_registers_say_so()
    {
        using TestBoard board = Planned();
        AddressRange wide = board.Map.Functions.Single(f => f.Name == "nic").Bar(BarIndex.Vf0)!.Range;
        AddressRange narrow = board.Map.Functions.Single(f => f.Name == "nic").Bar(BarIndex.Vf0 + 3)!.Range;
        Assert.Equal((8UL * 0x4000, 8UL * 0x1000), (wide.Size, narrow.Size));
        Assert.Equal(wide.Start.Value, (Get(board, 0x24) & ~0xFUL) | (ulong)Get(board, 0x28) << 32);
        Assert.Equal(narrow.Start.Value, Get(board, 0x30));
        Assert.Null(board.Answers(wide.Start.Value));
        Assert.Null(board.Answers(narrow.Start.Value));
    }

    [Fact]
    public void VFs_answer_in_their_share_each_with_words_of_its_own_and_leave_when_they_are_disabled()
    {
        using TestBoard board = Planned();
        ulong wide = board.BarAt("nic", BarIndex.Vf0);
        ulong narrow = board.BarAt("nic", BarIndex.Vf0 + 3);
        EnableVfs(board, 5);
        for (ulong vf = 0; vf < 8; vf++)
        {
            Assert.Equal(vf < 5 ? $"nic.vf{vf}.bar0" : null, board.Answers(wide + (vf * 0x4000) + 0x3FFC));
            Assert.Equal(vf < 5 ? $"nic.vf{vf}.bar3" : null, board.Answers(narrow + (vf * 0x1000) + 0xFFC));
        }

        Assert.Equal(10, Enumerable.Range(0, 5).SelectMany(vf => new[] { board.Load(wide + ((ulong)vf * 0x4000)), board.Load(narrow + ((ulong)vf * 0x1000)) })
            .Distinct().Count());
        ulong untouched = board.Load(wide + 0x4000);
        board.Store(wide + 0x4000, 0x1234);
        Assert.NotEqual(untouched, board.Load(wide + 0x4000));
        Set(board, 8, 0);
        Assert.Null(board.Answers(wide));
        Assert.Equal(uint.MaxValue, board.Load(wide + 0x4000));
        EnableVfs(board, 5);
        Assert.Equal(untouched, board.Load(wide + 0x4000));
    }

    [Fact]
    public void A_function_level_reset_of_a_VF_forgets_what_it_was_told_and_nothing_else()
    {
        using TestBoard board = Planned();
        ulong wide = board.BarAt("nic", BarIndex.Vf0);
        EnableVfs(board, 2);
        (ulong first, ulong second) = (board.Load(wide), board.Load(wide + 0x4000));
        board.Store(wide, 1);
        board.Store(wide + 0x4000, 2);
        Assert.True(board.Board.Pci.TryFind(new Bdf(0x0102), out PciFunction? vf));
        board.Write(vf.Bdf, vf.Find<PciExpressCapability>()!.Offset + 8, 2, 0x8000);
        Assert.NotEqual(first, board.Load(wide));
        Assert.Equal(second, board.Load(wide + 0x4000));
    }

    [Fact]
    public void A_reset_ends_the_VFs_and_their_memory()
    {
        using TestBoard board = Planned();
        ulong wide = board.BarAt("nic", BarIndex.Vf0);
        EnableVfs(board, 8);
        Assert.NotNull(board.Answers(wide));
        board.Board.Reset();
        Assert.Null(board.Answers(wide));
        Assert.Equal(0UL, board.BarAt("nic", BarIndex.Vf0));
        Assert.False(board.Board.Pci.TryFind(new Bdf(0x0101), out _));
    }

    [Fact]
    public void A_VF_BAR_that_is_pinned_stays_there_and_reads_so()
    {
        using TestBoard board = TestBoard.Direct("--root-port id=rp0", $"{Nic},bars=vf-bar0@0x100000000000");
        Set(board, 0x24, 0xD000_0000, 4);
        Set(board, 0x28, 0, 4);
        EnableVfs(board, 8);
        Assert.Equal("nic.vf7.bar0", board.Answers(0x1000_0000_0000 + (7 * 0x4000)));
        Assert.Equal(0x1000_0000_0000UL, board.BarAt("nic", BarIndex.Vf0));
    }

    [Fact]
    public void A_larger_page_size_spreads_the_VFs()
    {
        using TestBoard board = Planned();
        ulong narrow = board.BarAt("nic", BarIndex.Vf0 + 3);
        Set(board, 0x20, 2, 4);
        EnableVfs(board, 4);
        Assert.Equal(("nic.vf1.bar3", null), (board.Answers(narrow + 0x2000), board.Answers(narrow + 0x1000)));
    }

    [Fact]
    public void VF_BARs_at_no_address_are_a_difference_to_what_was_promised()
    {
        using TestBoard board = Planned();
        MapPromise promise = MapPromise.Of(board.Map, isDirect: true);
        MapCollector collector = new(board.Board, null, new WriteHistory(TimeProvider.System, board.Events), null);
        Assert.Empty(MapVerifier.Compare(promise, collector.Collect()));
        EnableVfs(board, 8);
        Assert.Empty(MapVerifier.Compare(promise, collector.Collect()));
        Set(board, 8, 0);
        Set(board, 0x24, 0, 4);
        Set(board, 0x28, 0, 4);
        MapDifference difference = Assert.Single(MapVerifier.Compare(promise, collector.Collect()));
        Assert.Equal(("nic vf-bar0", "no address"), (difference.Subject, difference.Found));
    }

    [Fact]
    public void What_lspci_prints_of_the_machine_has_its_VF_BARs_and_the_finding_when_they_lie_nowhere()
    {
        using TestBoard board = Planned();
        HostMachine host = Read(board);
        HostSriov sriov = host.Find(new PciAddress(0, board.Function("nic").Bdf))!.Sriov!;
        Assert.Equal((8, 0, 1, 1), (sriov.TotalVfs, sriov.NumVfs, sriov.FirstVfOffset, sriov.VfStride));
        Assert.Equal([board.BarAt("nic", BarIndex.Vf0), board.BarAt("nic", BarIndex.Vf0 + 3)], sriov.VfBars.Select(bar => bar.Address!.Value.Value));
        Assert.DoesNotContain(host.Findings, finding => finding.Kind == HostFindingKind.NoAddress);
        board.Function("nic").ProgramBar(BarIndex.Vf0, GuestAddress.Zero);
        board.Function("nic").ProgramBar(BarIndex.Vf0 + 3, GuestAddress.Zero);
        HostFinding lost = Assert.Single(Read(board).Findings, finding => finding.Kind == HostFindingKind.NoAddress);

        // A 32-bit BAR that is not prefetchable reads like none while its address is 0.
        Assert.StartsWith("SR-IOV of 0000:01:00.0 cannot be turned on, because its VF BARs 0 have no address", lost.Text, StringComparison.Ordinal);
    }

    private static HostMachine Read(TestBoard board)
    {
        StringBuilder text = new();
        foreach (PciFunction function in board.Board.Pci.Functions)
        {
            text.AppendLine(CultureInfo.InvariantCulture, $"0000:{function.Bdf} 0000: {function.Identity.Vendor:x4}:{function.Identity.Device:x4}");
            foreach (int[] line in Enumerable.Range(0, function.Config.Size).Chunk(16))
            {
                IEnumerable<string> bytes = line.Select(at => function.ReadConfig(at, 1).ToString("x2", CultureInfo.InvariantCulture));
                text.AppendLine(CultureInfo.InvariantCulture, $"{line[0]:x2}: {string.Join(' ', bytes)}");
            }

            text.AppendLine();
        }

        using TemporaryFile file = new(Encoding.ASCII.GetBytes(text.ToString()));
        return HostReader.Read(file.Path);
    }

    [Fact]
    public void A_device_whose_VFs_do_not_fit_the_ports_window_is_told_with_the_room_for_all_of_them()
    {
        using TestBoard board = TestBoard.Direct("--root-port id=rp0,memory=2M,prefetchable=2M", "--device test,id=x,addr=05.0,vfs=64,vf-bar0=mem32:1M");
        PciBridge port = (PciBridge)board.Function("rp0");
        string? shortage = PortCapacity.Shortage([board.Function("x")], port);
        Assert.Contains("vf-bar0 (64M) does not fit", shortage, StringComparison.Ordinal);
        Assert.Contains("id=rp0,memory=64M", shortage, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--device test,id=nic,addr=04.0,vfs=8", "--device test,id=x,addr=05.0", "VF 7 of nic would be at 05.0 on the root bus, where x is")]
    [InlineData("--device test,id=nic,addr=04.0,vfs=2", "--device test,id=x,addr=04.1,vfs=1", "VF 0 of nic would be at 04.1 on the root bus, where x is")]
    [InlineData("--device test,id=nic,addr=04.0,vfs=2,vf-offset=8", "--device test,id=x,addr=04.1,vfs=1,vf-offset=7", "VF 0 of x would be at 05.0")]
    [InlineData("--machine i440fx", "--device test,id=nic,vfs=1", "i440fx has conventional PCI")]
    public void VFs_at_another_functions_place_and_on_a_board_without_them_are_refused(string first, string second, string says)
    {
        IEnumerable<Setting> options = new[] { first, second }.Select(o => o.Split(' ', 2)).Select(o => new Setting(o[0], o[1]));
        MachineConfig config = ConfigReader.Read([new("--kernel", "unused"), .. options]);
        Assert.Contains(says, Assert.Throws<ApertureException>(() => TopologyBuilder.Build(config)).Message, StringComparison.Ordinal);
    }

    private sealed record Draw(int Total, int Vfs, int Offset, int Stride, int Share, int Page, int Probe);

    private static Gen<Draw> Draws { get; } =
        from total in Gen.Choose(1, 20)
        from vfs in Gen.Choose(0, 22)
        from offset in Gen.Choose(1, 300)
        from stride in Gen.Choose(1, 40)
        from share in Gen.Choose(8, 16)
        from page in Gen.Elements(12, 13, 16)
        from probe in Gen.Choose(0, 1 << 20)
        select new Draw(total, vfs, offset, stride, share, page, probe);

    /// <summary>The oracle knows the option's numbers, the port's bus and the BAR's register, and nothing of the code.</summary>
    [Fact]
    public void Each_VF_has_its_routing_id_and_its_share_of_the_VF_BAR() =>
        Prop.ForAll(Draws.ToArbitrary(), draw =>
        {
            using TestBoard board = TestBoard.Direct(
                "--root-port id=rp0",
                $"--device test,id=nic,port=rp0,vfs={draw.Total},vf-offset={draw.Offset},vf-stride={draw.Stride},vf-bar0=mem64p:{1 << draw.Share}");
            PciBridge port = (PciBridge)board.Function("rp0");
            board.Write("rp0", port.Find<PciExpressCapability>()!.Offset + 0x28, 1 << 5, 2);
            ulong share = 1UL << Math.Max(draw.Share, draw.Page);
            Set(board, 0x20, 1u << (draw.Page - 12), 4);
            ulong start = board.BarAt("nic", BarIndex.Vf0);
            EnableVfs(board, (uint)draw.Vfs);
            int there = Math.Min(draw.Total, draw.Vfs);
            for (int vf = 0; vf < draw.Total; vf++)
            {
                int id = (port.SecondaryBus << 8) + draw.Offset + (vf * draw.Stride);
                Assert.Equal(vf < there, board.Board.Pci.TryFind(new Bdf((ushort)id), out PciFunction? function));
                Assert.Equal(vf < there ? $"nic.vf{vf}" : null, function?.Name);
            }

            // The plan's room is for pages of 4 KiB: larger ones reach beyond it, and the port forwards all or nothing.
            bool fits = there > 0 && port.Window(BridgeWindow.Prefetchable)!.Value.Contains(new AddressRange(new GuestAddress(start), share * (ulong)there));
            ulong at = (ulong)draw.Probe % (share * (ulong)draw.Total);
            ulong inside = at % share;
            bool answers = fits && at / share < (ulong)there && inside < Math.Max(1UL << draw.Share, 4096);
            Assert.Equal(answers ? $"nic.vf{at / share}.bar0" : null, board.Answers(start + at));
        }).Holds(60);
}
