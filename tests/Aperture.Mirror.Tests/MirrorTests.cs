using System.Buffers.Binary;
using Aperture.Host;
using Aperture.Host.Model;
using Aperture.Placement.Map;
using Aperture.Placement.Request;

namespace Aperture.Mirror.Tests;

/// <summary>What happens where a host and a guest do not agree by themselves.</summary>
public class MirrorTests
{
    [Fact]
    public void Ram_below_4_gib_ends_where_the_lowest_bar_begins_and_continues_above()
    {
        SyntheticHost made = new SyntheticHost(low: 0x4000_0000).Root(0, 0).Port(1, Check.Bars(("mem32", 1 << 20)));
        HostMachine host = made.Read();
        MirrorPlan plan = Check.Plan(host, ram: 4UL << 30);
        Check.Identical(host, plan);
        RamPlacement ram = plan.Result.Require().Ram;
        Assert.Equal((0x4000_0000UL, 3UL << 30), (ram.Low.Size, ram.High.Size));
    }

    [Fact]
    public void Ram_goes_round_a_bar_above_4_gib_in_pieces()
    {
        HostMachine host = new SyntheticHost(high: 6UL << 30).Root(0, 0).Port(1, Check.Bars(("mem64p", 1UL << 30))).Read();
        MirrorPlan plan = Check.Plan(host, ram: 16UL << 30);
        Check.Identical(host, plan);
        Assert.True(plan.Result.Require().Ram.HighPieces.Count > 1);
    }

    [Fact]
    public void Ecam_is_found_another_place_when_a_bar_has_its_own()
    {
        HostMachine host = new SyntheticHost(low: 0xB800_0000).Root(0, 0).Port(1, Check.Bars(("mem32", 1 << 20))).Read();
        MirrorPlan plan = Check.Plan(host);
        Check.Identical(host, plan);
        Assert.Contains(plan.Notes,
            note => note.StartsWith("ECAM is not at 0xb0000000, where the board has it, because 0000:01:00.0 bar0", StringComparison.Ordinal));
    }

    [Fact]
    public void The_guests_own_functions_step_aside_for_host_functions_at_their_places()
    {
        SyntheticHost made = new SyntheticHost().Root(0, 0, hostBridge: false).Endpoint(0, 0, 0, new BarText("mem32", 4096))
            .Endpoint(0, 0x1F, 0, new BarText("mem32", 4096));
        HostMachine host = made.Read();
        MirrorPlan plan = Check.Plan(host);
        Assert.Equal(2, Check.Identical(host, plan));
        Assert.Contains(plan.Notes, note => note.EndsWith("mch to 01.0, lpc to 02.0", StringComparison.Ordinal));
    }

    [Fact]
    public void A_chipset_function_is_not_mirrored_and_a_place_holder_stands_where_others_need_function_0()
    {
        SyntheticHost made = new SyntheticHost().Root(0, 0);
        made.Function(0, 0x1F, 0, SyntheticHost.Header(0x8086, 0xA2C8, 0x060100)).Endpoint(0, 0x1F, 2, new BarText("io", 32, 0x6C20));
        made.Function(0, 5, 0, SyntheticHost.Header(0x8086, 0x2024, 0x060000)).Endpoint(0, 5, 4, new BarText("mem32", 4096));
        HostMachine host = made.Read();
        MirrorPlan plan = Check.Plan(host);
        Assert.Equal(2, Check.Identical(host, plan));
        PlacementMap map = plan.Result.Require();
        Assert.Equal("lpc", Assert.Single(map.Functions, function => function.Address == new Bdf(0, 0x1F, 0)).Name);
        Assert.Equal("0000:00:05.0", Assert.Single(map.Functions, function => function.Address == new Bdf(0, 5, 0)).Name);
        Assert.Contains(plan.Notes, note => note.StartsWith("Not mirrored, because a guest has its own", StringComparison.Ordinal)
            && note.Contains("0000:00:1f.0 (ISA bridge)", StringComparison.Ordinal));
    }

    [Fact]
    public void Only_the_named_function_and_the_bridges_above_it_are_mirrored()
    {
        SyntheticHost made = new SyntheticHost().Root(0, 0).Switch(1, Check.Bars(("mem64p", 1UL << 30)), Check.Bars(("mem64p", 1UL << 30)));
        HostMachine host = made.Port(2, Check.Bars(("mem32", 4096))).Read();
        MirrorPlan plan = Check.Plan(host, "04:00.0");
        Assert.Equal(["0000:04:00.0"], plan.Bars.Select(bar => bar.Function.ToString()).Distinct());
        Assert.Equal(
            ["0000:00:01.0", "0000:01:00.0", "0000:02:01.0", "0000:04:00.0"],
            plan.Result.Require().Functions.Select(f => f.Name).Where(name => name.Contains(':', StringComparison.Ordinal)).Except(["0000:02:00.0"])
                .Order(StringComparer.Ordinal));
    }

    [Fact]
    public void All_vfs_of_a_physical_function_have_the_room_that_the_host_gave_them()
    {
        SyntheticHost made = new SyntheticHost().Root(0, 0, hostBridge: false);
        byte[] config = new byte[4096];
        SyntheticHost.Header(0x15B3, 0x1019, 0x020000).CopyTo(config, 0);

        // SR-IOV: initial and total VFs 8, offset 2, stride 1, page sizes, VF BAR 0 64-bit prefetchable at 0x3a0000000000.
        uint[] words = [0x0001_0010, 0, 1, 8 | 8 << 16, 8, 2 | 1 << 16, 0x101A << 16, 1, 1, 0xC, 0x3A00, 0, 0, 0, 0];
        for (int i = 0; i < words.Length; i++)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(config.AsSpan(0x100 + 4 * i), words[i]);
        }

        // lspci prints a VF BAR's address; its size is known from the kernel's list only, so the tree stands on disk.
        using TemporaryFolder scratch = new();
        string root = scratch.Path;
        string place = Path.Join(root, "sys/bus/pci/devices/0000:00:02.0");
        Directory.CreateDirectory(place);
        File.WriteAllBytes(Path.Join(place, "config"), config);
        const string Empty = "0x0000000000000000 0x0000000000000000 0x0000000000000000\n";
        string vf = $"0x{0x3A00_0000_0000:x16} 0x{0x3A00_0000_0000 + 8 * (2 << 20) - 1:x16} 0x000000000014220c\n";
        File.WriteAllText(Path.Join(place, "resource"), string.Concat(Enumerable.Repeat(Empty, 7)) + vf + string.Concat(Enumerable.Repeat(Empty, 5)));
        MirrorPlan plan = Check.Plan(HostReader.Read(root));
        Assert.Empty(plan.Result.Conflicts);
        Assert.True(plan.Result.Require().TryGetFunction("0000:00:02.0", out FunctionPlacement? placed));
        BarPlacement bar = Assert.Single(placed.Bars);
        Assert.Equal((BarIndex.Vf0, 0x3A00_0000_0000UL, 16UL << 20), (bar.Demand.Index, bar.Address.Value, bar.Range.Size));
    }

    [Fact]
    public void What_stands_behind_a_mirrored_device_in_a_domain_of_its_own_comes_with_that_device()
    {
        SyntheticHost made = new SyntheticHost().Root(0, 0).Endpoint(0, 5, 5, new BarText("mem32", 32 << 20, 0xA000_0000));
        made.Root(0x1_0000, 0, hostBridge: false).Endpoint(0, 1, 0, new BarText("mem32", 1 << 20, 0xA010_0000));
        HostMachine host = made.Read();
        MirrorPlan plan = Check.Plan(host);
        Assert.Equal(1, Check.Identical(host, plan, only: function => function.Address.Domain == 0));
        Assert.Contains(plan.Notes, note => note.Contains("stand behind another mirrored function", StringComparison.Ordinal)
            && note.Contains("10000:00:01.0", StringComparison.Ordinal));
        Assert.Equal(1, Check.Identical(host, Check.Plan(host, "10000:00:01.0"), only: function => function.Address.Domain != 0));
    }

    [Fact]
    public void A_host_that_contradicts_itself_is_refused_with_its_file_and_the_contradiction()
    {
        SyntheticHost made = new SyntheticHost().Root(0, 0).Endpoint(0, 2, 0, new BarText("mem32", 1 << 20, 0xA000_0000));
        HostMachine host = made.Endpoint(0, 3, 0, new BarText("mem32", 1 << 20, 0xA000_0000)).Read();
        ApertureException refused = Assert.Throws<ApertureException>(() => Check.Plan(host));
        Assert.Equal(ApertureException.ConfigurationError, refused.ExitCode);
        Assert.StartsWith("synthetic: bar0 of 0000:00:03.0", refused.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', refused.Message);
    }

    [Fact]
    public void Domains_that_share_bus_addresses_conflict_and_a_note_says_why()
    {
        SyntheticHost made = new SyntheticHost().Root(1, 0, hostBridge: false).Endpoint(0, 2, 0, new BarText("mem32", 1 << 20, 0x8000_0000));
        made.Root(2, 0, hostBridge: false).Endpoint(0, 2, 0, new BarText("mem32", 1 << 20, 0x8000_0000));
        string dump = made.Text.Replace("Memory at 80000000", "Memory at 3fe080000000", StringComparison.Ordinal);
        int second = dump.LastIndexOf("3fe080000000", StringComparison.Ordinal);
        HostMachine host = HostReader.ReadLspci(dump.Remove(second, 12).Insert(second, "3fe180000000"), "translated");
        MirrorPlan plan = Check.Plan(host);
        Assert.Contains("overlaps 0001:00:02.0 bar0", Assert.Single(plan.Result.Conflicts).Sentence, StringComparison.Ordinal);
        Assert.Contains(plan.Notes, note => note.StartsWith("Domains of this host use the same bus addresses", StringComparison.Ordinal));
        Check.Identical(host, Check.Plan(host, "0002:00:02.0"), only: function => function.Address.Domain == 2);
    }

    [Theory]
    [InlineData("all,", "'all' is not a function")]
    [InlineData("", "'' is not a function")]
    [InlineData("00:02.0,1f", "'1f' is not a function")]
    [InlineData("0000:7f:00.0", "synthetic has no function 0000:7f:00.0")]
    public void A_selection_that_names_no_function_is_one_sentence(string selection, string part)
    {
        HostMachine host = new SyntheticHost().Root(0, 0).Endpoint(0, 2, 0).Read();
        Assert.Contains(part, Assert.Throws<ApertureException>(() => Check.Plan(host, selection)).Message, StringComparison.Ordinal);
    }
}
