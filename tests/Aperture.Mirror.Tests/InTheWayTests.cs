using System.Buffers.Binary;
using Aperture.Host.Model;
using Aperture.Placement.Request;

namespace Aperture.Mirror.Tests;

/// <summary>What of a whole machine steps aside, how much a guest is given, and what is told where there is no map.</summary>
public class InTheWayTests
{
    private const uint Smbus = 0x0C0500;

    private static SyntheticHost WithSmbus(ulong port)
    {
        SyntheticHost made = new SyntheticHost().Root(0, 0).Port(1, Check.Bars(("mem64p", 1UL << 28), ("io", 128)));
        byte[] config = SyntheticHost.Header(0x8086, 0x1C22, Smbus);
        BinaryPrimitives.WriteUInt32LittleEndian(config.AsSpan(0x20), (uint)port | 1);
        return made.Function(0, 0x1F, 3, config, $"\tRegion 4: I/O ports at {port:x4} [size=32]\n");
    }

    [Theory]
    [InlineData(0x500, "fw_cfg")]
    [InlineData(0x600, "the power management block")]
    [InlineData(0x2E0, "a serial port")]
    public void A_platform_function_on_the_boards_own_ports_is_left_out_and_everything_else_stays(ulong port, string obstacle)
    {
        HostMachine host = WithSmbus(port).Read();
        MirrorPlan plan = Check.Plan(host);
        Assert.Empty(plan.Result.Conflicts);
        Assert.Equal(["0000:01:00.0"], plan.Bars.Select(bar => bar.Function.ToString()).Distinct());
        Assert.Contains(plan.Notes, note => note.StartsWith("Not mirrored, because no guest needs this function", StringComparison.Ordinal)
            && note.Contains(obstacle, StringComparison.Ordinal) && note.EndsWith(": 0000:00:1f.3 bar4", StringComparison.Ordinal));
        Assert.DoesNotContain(plan.Notes, note => note.StartsWith("Bridge windows are not", StringComparison.Ordinal));
    }

    [Fact]
    public void A_platform_function_at_a_free_place_keeps_its_address()
    {
        MirrorPlan plan = Check.Plan(WithSmbus(0xF040).Read());
        Assert.Contains(plan.Bars, bar => bar is { Index: 4, Address.Value: 0xF040 });
    }

    [Fact]
    public void A_platform_function_that_was_named_is_refused_with_what_is_there() =>
        Assert.Contains("fw_cfg", Assert.Single(Check.Plan(WithSmbus(0x500).Read(), "00:1f.3").Result.Conflicts).Sentence, StringComparison.Ordinal);

    [Fact]
    public void An_hpet_that_is_a_bar_is_left_out()
    {
        SyntheticHost made = new SyntheticHost().Root(0, 0).Port(1, Check.Bars(("mem32", 1 << 20)));
        byte[] config = SyntheticHost.Header(0x1002, 0x4385, Smbus);
        BinaryPrimitives.WriteUInt32LittleEndian(config.AsSpan(0x14), 0xFED0_0000);
        HostMachine host = made.Function(0, 0x14, 0, config, "\tRegion 1: Memory at fed00000 (32-bit, non-prefetchable) [size=1K]\n").Read();
        MirrorPlan plan = Check.Plan(host);
        Assert.Empty(plan.Result.Conflicts);
        Assert.Contains(plan.Notes, note => note.EndsWith(": 0000:00:14.0 bar1", StringComparison.Ordinal));
    }

    [Fact]
    public void A_bar_that_only_subtractive_decode_reaches_is_left_out_where_no_window_can_hold_it()
    {
        // Ports 0x3100 to 0x31ff stand on the root bus, in the 4 KiB that a window over 0x3400 takes.
        SyntheticHost made = new SyntheticHost().Root(0, 0).Endpoint(0, 3, 0, new BarText("io", 32, 0x3100));
        byte[] bridge = SyntheticHost.Header(0x1014, 0x0308, 0x060401, 1);
        (bridge[0x19], bridge[0x1A], bridge[0x1C], bridge[0x20], bridge[0x21], bridge[0x24], bridge[0x25]) = (9, 9, 0xF0, 0xF0, 0xFF, 0xF0, 0xFF);
        made.Function(0, 4, 0, bridge).Endpoint(9, 0, 0, new BarText("io", 256, 0x3400), new BarText("mem32", 4096, 0xA000_0000));
        HostMachine host = made.Read();
        MirrorPlan plan = Check.Plan(host);
        Assert.Empty(plan.Result.Conflicts);
        Assert.Contains(plan.Bars, bar => bar is { Function.Bus: 9, Index: 1 });
        Assert.DoesNotContain(plan.Bars, bar => bar is { Function.Bus: 9, Index: 0 });
        Assert.Contains(plan.Notes, note => note.Contains("0000:00:04.0 forwards them by subtractive decode", StringComparison.Ordinal)
            && note.EndsWith(": 0000:09:00.0 bar0", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(16UL << 30, 0UL, 2UL << 30)]
    [InlineData(256UL << 30, 0UL, 2UL << 30)]
    [InlineData(16UL << 30, 16UL << 30, 8UL << 30)]
    [InlineData(1UL << 40, 3UL << 40, 64UL << 30)]
    public void A_guest_gets_address_bits_for_what_it_asks_for_besides_the_host(ulong bar, ulong reserve, ulong ram)
    {
        HostMachine host = new SyntheticHost(high: 0xC000_0000).Root(0, 0).Port(1, Check.Bars(("mem32", 1 << 20))).Read();
        FunctionDemand device = new("x", 5 << 3, [new BarDemand(2, Pci.BarKind.Memory64Prefetchable, bar)]);
        FunctionDemand port = new("rp", 6 << 3, []) { Bridge = new BridgeDemand([]) { Reserve = new HotplugReserve { Prefetchable = reserve } } };
        PlacementRequest guest = Check.Guest(ram);
        guest = guest with { HostBridges = [guest.HostBridges[0] with { Functions = [.. guest.HostBridges[0].Functions, device, port] }] };
        int bits = HostMirror.AddressBits(host, guest);
        MirrorPlan plan = HostMirror.Plan(host, MirrorSelection.All, guest with { Platform = guest.Platform with { PhysicalAddressBits = bits } });
        Assert.Empty(plan.Result.Conflicts);
        Assert.Equal(HostMirror.AddressBits(host, ram), HostMirror.AddressBits(host, Check.Guest(ram)));
    }

    [Fact]
    public void Where_there_is_no_map_the_conflicts_are_those_of_what_was_asked()
    {
        HostMachine host = new SyntheticHost().Root(0, 0).Port(1, Check.Bars(("mem64p", 1UL << 30), ("mem32", 1 << 20))).Read();
        PlacementRequest guest = Check.Guest(bits: 46);
        FunctionDemand device = new("x", 5 << 3, [new BarDemand(2, Pci.BarKind.Memory64Prefetchable, 1UL << 46)]);
        guest = guest with { HostBridges = [guest.HostBridges[0] with { Functions = [.. guest.HostBridges[0].Functions, device] }] };
        MirrorPlan plan = HostMirror.Plan(host, MirrorSelection.All, guest);
        Assert.All(plan.Result.Conflicts, conflict => Assert.Equal("x", conflict.Demand.Function));
        Assert.NotEmpty(plan.Result.Conflicts);
        Assert.DoesNotContain(plan.Notes, note => note.Contains("not as on the host", StringComparison.Ordinal));
    }
}
