using Aperture.Pci.Capabilities;
using Aperture.Pci.Ports;
using Aperture.Pci.Registers;

namespace Aperture.Pci.Tests;

public class DecodeTests
{
    private static readonly AddressRange High = Build.Range(0x10_0000_0000, 0x10_0000_0000);

    private readonly PciHierarchy _hierarchy = new();
    private readonly RootPort _port = new("port", 1);
    private readonly PciFunction _function = Build.Function("near");
    private readonly PciFunction _below = Build.Function("far");
    private readonly DecodeLimits _limits = new(
        [Build.Range(0xC000_0000, 0x3EC0_0000), High],
        [Build.Range(0, 0xCF8), Build.Range(0xD00, 0xF300)],
        [
            new DecodeObstacle(Build.Range(0, 0x8000_0000), "RAM"),
            new DecodeObstacle(Build.Range(0xE000_0000, 0x1000_0000), "ECAM"),
        ]);

    public DecodeTests()
    {
        _hierarchy.Root.Add(0x08, _port);
        _hierarchy.Root.Add(0x10, _function);
        _port.Secondary.Add(0, _below);
        _port.ProgramBusNumbers(0, 1, 1);
        foreach (PciFunction each in new[] { _function, _below })
        {
            each.AddCapability(new PowerManagementCapability());
            each.AddBar(0, BarKind.Memory32, 0x10_0000);
            each.AddBar(1, BarKind.Io, 0x100);
            each.AddBar(2, BarKind.Memory64Prefetchable, 0x1000_0000);
            each.AddBar(BarKinds.RomIndex, BarKind.Rom, 0x1_0000);
            Build.Enable(each);
        }

        Build.Enable(_port);
    }

    private DecodeMap Compute(DecodeMap? previous = null) => _hierarchy.ComputeDecode(_limits, previous ?? DecodeMap.Empty);

    private RefusedBar Refusal(PciFunction of, int bar, DecodeMap? map = null) =>
        Assert.Single((map ?? Compute()).Refused, r => r.Function == of && r.Bar.Index == bar);

    [Fact]
    public void A_bar_decodes_at_its_address_while_everything_allows_it()
    {
        _function.WriteConfig(0x10, 4, 0xD000_0000);
        _function.WriteConfig(0x14, 4, 0x2000);
        DecodeMap map = Compute();
        Assert.Equal([new DecodedBar(_function, _function.Bars[0], Build.Range(0xD000_0000, 0x10_0000))], map.Memory);
        Assert.Equal([new DecodedBar(_function, _function.Bars[1], Build.Range(0x2000, 0x100))], map.Io);
        Assert.Equal(Build.Range(0xD000_0000, 0x10_0000), map.Find(_function.Bars[0]));
        Assert.Null(map.Find(_below.Bars[0]));
        Assert.Equal(6, map.Refused.Count);
    }

    [Fact]
    public void A_bar_does_not_decode_while_its_command_bit_is_off()
    {
        _function.WriteConfig(0x10, 4, 0xD000_0000);
        _function.WriteConfig(0x14, 4, 0x2000);
        _function.WriteConfig(PciRegisters.Command, 2, 1);
        DecodeMap map = Compute();
        Assert.Equal(DecodeRefusal.NotEnabled, Refusal(_function, 0, map).Reason);
        Assert.Single(map.Io);
        _function.WriteConfig(PciRegisters.Command, 2, 2);
        map = Compute();
        Assert.Equal(DecodeRefusal.NotEnabled, Refusal(_function, 1, map).Reason);
        Assert.Single(map.Memory);
    }

    [Fact]
    public void Address_0_does_not_decode() => Assert.Equal(DecodeRefusal.AddressZero, Refusal(_function, 0).Reason);

    [Fact]
    public void An_address_with_bit_63_set_or_that_wraps_does_not_decode()
    {
        _function.WriteConfig(0x1C, 4, 0x8000_0000);
        Assert.Equal(DecodeRefusal.Wraps, Refusal(_function, 2).Reason);
        _function.WriteConfig(0x18, 4, uint.MaxValue);
        _function.WriteConfig(0x1C, 4, uint.MaxValue);
        Assert.Equal(DecodeRefusal.Wraps, Refusal(_function, 2).Reason);
    }

    [Fact]
    public void A_function_outside_d0_does_not_decode()
    {
        _function.WriteConfig(0x10, 4, 0xD000_0000);
        int control = _function.Find<PowerManagementCapability>()!.Offset + 4;
        _function.WriteConfig(control, 1, 3);
        Assert.Equal(DecodeRefusal.PowerState, Refusal(_function, 0).Reason);
        _function.WriteConfig(control, 1, 0);
        Assert.Single(Compute().Memory);
    }

    [Fact]
    public void A_rom_needs_its_own_enable_and_memory_decode()
    {
        _function.WriteConfig(PciRegisters.RomType0, 4, 0xD000_0000);
        Assert.Equal(DecodeRefusal.RomDisabled, Refusal(_function, BarKinds.RomIndex).Reason);
        _function.WriteConfig(PciRegisters.RomType0, 1, 1);
        Assert.Single(Compute().Memory);
        _function.WriteConfig(PciRegisters.Command, 2, 5);
        Assert.Equal(DecodeRefusal.NotEnabled, Refusal(_function, BarKinds.RomIndex).Reason);
    }

    [Fact]
    public void Every_bridge_above_must_forward_by_window_and_command_bit()
    {
        _below.WriteConfig(0x10, 4, 0xD000_0000);
        RefusedBar refused = Refusal(_below, 0);
        Assert.Equal((DecodeRefusal.NotForwarded, "port"), (refused.Reason, refused.Obstacle));
        _port.WriteConfig(PciRegisters.MemoryBase, 4, 0xD000_D000);
        Assert.Single(Compute().Memory);
        _port.WriteConfig(PciRegisters.Command, 2, 5);
        Assert.Equal(DecodeRefusal.NotForwarded, Refusal(_below, 0).Reason);
        _port.WriteConfig(PciRegisters.Command, 2, 7);
        _port.WriteConfig(PciRegisters.MemoryBase, 4, 0xCFF0_D000);
        Assert.Equal(DecodeRefusal.NotForwarded, Refusal(_below, 0).Reason);
    }

    [Fact]
    public void Closing_a_window_over_a_live_bar_undecodes_it()
    {
        _below.WriteConfig(0x14, 4, 0x2000);
        _port.WriteConfig(PciRegisters.IoBase, 2, 0x2020);
        DecodeMap map = Compute();
        Assert.Single(map.Io);
        _port.WriteConfig(PciRegisters.IoBase, 2, 0x0010);
        Assert.Empty(Compute(map).Io);
    }

    [Fact]
    public void Either_memory_window_forwards_any_memory_bar_and_adjacent_windows_forward_jointly()
    {
        _below.WriteConfig(0x10, 4, 0xD000_0000);
        _port.WriteConfig(PciRegisters.PrefetchableBase, 4, 0xD000_D000);
        Assert.NotNull(Compute().Find(_below.Bars[0]));
        _below.WriteConfig(0x18, 4, 0xC000_0000);
        _port.ProgramWindow(BridgeWindow.Memory, Build.Range(0xC000_0000, 0x800_0000));
        _port.ProgramWindow(BridgeWindow.Prefetchable, Build.Range(0xC800_0000, 0x800_0000));
        Assert.NotNull(Compute().Find(_below.FindBar(2)!));
        _port.ProgramWindow(BridgeWindow.Prefetchable, Build.Range(0xC810_0000, 0x7F0_0000));
        Assert.Null(Compute().Find(_below.FindBar(2)!));
    }

    [Fact]
    public void A_bridge_outside_d0_or_holding_its_bus_in_reset_forwards_nothing()
    {
        _below.WriteConfig(0x10, 4, 0xD000_0000);
        _port.WriteConfig(PciRegisters.MemoryBase, 4, 0xD000_D000);
        int control = _port.Find<PowerManagementCapability>()!.Offset + 4;
        _port.WriteConfig(control, 1, 3);
        Assert.Equal(DecodeRefusal.NotForwarded, Refusal(_below, 0).Reason);
        _port.WriteConfig(control, 1, 0);
        Assert.NotNull(Compute().Find(_below.Bars[0]));
        _port.WriteConfig(PciRegisters.BridgeControl, 2, 0x40);
        Assert.Null(Compute().Find(_below.Bars[0]));
        Build.Enable(_below);
        _below.WriteConfig(0x10, 4, 0xD000_0000);
        Assert.Equal(DecodeRefusal.NotForwarded, Refusal(_below, 0).Reason);
    }

    [Fact]
    public void Addresses_outside_the_host_windows_do_not_decode()
    {
        _function.WriteConfig(0x10, 4, 0xFEC0_0000);
        Assert.Equal(DecodeRefusal.OutsideHostWindows, Refusal(_function, 0).Reason);
        _function.WriteConfig(0x14, 4, 0xC00);
        Assert.Equal(DecodeRefusal.OutsideHostWindows, Refusal(_function, 1).Reason);
        _function.WriteConfig(0x14, 4, 0x1_0000);
        Assert.Equal(DecodeRefusal.OutsideHostWindows, Refusal(_function, 1).Reason);
    }

    [Fact]
    public void Reserved_ranges_win_over_a_bar_whole_and_are_named()
    {
        DecodeLimits withRam = new([Build.Range(0, 0x1_0000_0000)], [], _limits.ReservedMemory);
        _function.WriteConfig(0x10, 4, 0x7FF0_0000);
        RefusedBar refused = Refusal(_function, 0, _hierarchy.ComputeDecode(withRam, DecodeMap.Empty));
        Assert.Equal((DecodeRefusal.Reserved, "RAM"), (refused.Reason, refused.Obstacle));
        _function.WriteConfig(0x18, 4, 0xE000_0000);
        refused = Refusal(_function, 2, _hierarchy.ComputeDecode(withRam, DecodeMap.Empty));
        Assert.Equal((DecodeRefusal.Reserved, "ECAM"), (refused.Reason, refused.Obstacle));
        _function.WriteConfig(0x18, 4, 0x7000_0000);
        DecodeLimits partly = new([Build.Range(0, 0x1_0000_0000)], [], [new DecodeObstacle(Build.Range(0x7FFF_F000, 0x1000), "page")]);
        refused = Refusal(_function, 2, _hierarchy.ComputeDecode(partly, DecodeMap.Empty));
        Assert.Equal((DecodeRefusal.Reserved, "page"), (refused.Reason, refused.Obstacle));
    }

    [Fact]
    public void Of_two_bars_that_overlap_the_one_that_was_there_stays_and_the_other_is_named()
    {
        _below.WriteConfig(0x10, 4, 0xD000_0000);
        _port.WriteConfig(PciRegisters.MemoryBase, 4, 0xD000_D000);
        DecodeMap first = Compute();
        _function.WriteConfig(0x10, 4, 0xD000_0000);
        DecodeMap second = Compute(first);
        Assert.Equal(_below, Assert.Single(second.Memory).Function);
        RefusedBar refused = Refusal(_function, 0, second);
        Assert.Equal((DecodeRefusal.Conflict, _below), (refused.Reason, refused.Other!.Value.Function));

        // And the other way round: who was there first is not a matter of order in the hierarchy.
        _below.WriteConfig(PciRegisters.Command, 2, 0);
        DecodeMap third = Compute(second);
        _below.WriteConfig(PciRegisters.Command, 2, 7);
        DecodeMap fourth = Compute(third);
        Assert.Equal(_function, Assert.Single(fourth.Memory).Function);
        Assert.Equal(DecodeRefusal.Conflict, Refusal(_below, 0, fourth).Reason);
    }

    [Fact]
    public void Two_bars_may_swap_addresses_while_decode_is_off()
    {
        PciFunction other = Build.Function("other");
        other.AddBar(0, BarKind.Memory32, 0x10_0000);
        _hierarchy.Root.Add(0x18, other);
        _function.WriteConfig(0x10, 4, 0xD000_0000);
        other.WriteConfig(0x10, 4, 0xD010_0000);
        Build.Enable(other);
        DecodeMap map = Compute();
        Assert.Equal(2, map.Memory.Count);
        _function.WriteConfig(PciRegisters.Command, 2, 0);
        map = Compute(map);
        other.WriteConfig(PciRegisters.Command, 2, 0);
        map = Compute(map);
        _function.WriteConfig(0x10, 4, 0xD010_0000);
        other.WriteConfig(0x10, 4, 0xD000_0000);
        Build.Enable(_function);
        map = Compute(map);
        Build.Enable(other);
        map = Compute(map);
        Assert.Equal(Build.Range(0xD010_0000, 0x10_0000), map.Find(_function.Bars[0]));
        Assert.Equal(Build.Range(0xD000_0000, 0x10_0000), map.Find(other.Bars[0]));
    }

    [Fact]
    public void Two_bars_may_swap_addresses_in_one_step_between_two_maps()
    {
        PciFunction other = Build.Function("other");
        other.AddBar(0, BarKind.Memory32, 0x10_0000);
        _hierarchy.Root.Add(0x18, other);
        _function.WriteConfig(0x10, 4, 0xD000_0000);
        other.WriteConfig(0x10, 4, 0xD010_0000);
        Build.Enable(other);
        DecodeMap map = Compute();
        _function.WriteConfig(0x10, 4, 0xD010_0000);
        other.WriteConfig(0x10, 4, 0xD000_0000);
        Assert.Equal(2, Compute(map).Memory.Count);
    }

    [Fact]
    public void A_half_written_64_bit_bar_never_reaches_what_is_reserved_or_outside()
    {
        _function.WriteConfig(0x18, 4, 0);
        _function.WriteConfig(0x1C, 4, 0x12);
        Assert.Single(Compute().Memory);
        _function.WriteConfig(0x18, 4, 0x4000_0000);
        _function.WriteConfig(0x1C, 4, 0);
        Assert.Equal(DecodeRefusal.OutsideHostWindows, Refusal(_function, 2).Reason);
        _function.WriteConfig(0x18, 4, uint.MaxValue);
        Assert.Equal(DecodeRefusal.OutsideHostWindows, Refusal(_function, 2).Reason);
        _function.WriteConfig(0x1C, 4, uint.MaxValue);
        Assert.Equal(DecodeRefusal.Wraps, Refusal(_function, 2).Reason);
        _function.WriteConfig(0x18, 4, 0x4000_0000);
        _function.WriteConfig(0x1C, 4, 0x13);
        Assert.Equal(Build.Range(0x13_4000_0000, 0x1000_0000), Compute().Find(_function.FindBar(2)!));
    }

    [Fact]
    public void A_locked_bar_decodes_at_its_pin_whatever_is_written()
    {
        Bar bar = _function.FindBar(2)!;
        bar.SetPin(Build.At(0x12_0000_0000));
        _function.WriteConfig(0x18, 4, uint.MaxValue);
        _function.WriteConfig(0x1C, 4, 0x5555_5555);
        Assert.Equal(Build.Range(0x12_0000_0000, 0x1000_0000), Compute().Find(bar));
        _function.WriteConfig(PciRegisters.Command, 2, 0);
        Assert.Null(Compute().Find(bar));
    }

    [Fact]
    public void A_bridges_own_bar_needs_no_window_of_that_bridge()
    {
        _port.AddBar(0, BarKind.Memory32, 0x1000);
        _port.WriteConfig(0x10, 4, 0xD000_0000);
        Assert.Equal(Build.Range(0xD000_0000, 0x1000), Compute().Find(_port.Bars[0]));
        Assert.Throws<ApertureException>(() => _port.AddBar(2, BarKind.Memory32, 0x1000));
    }
}
