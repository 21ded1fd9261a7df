using Aperture.Pci.Capabilities;
using Aperture.Pci.Ports;
using Aperture.Pci.Registers;

namespace Aperture.Pci.Tests;

public class BridgeTests
{
    private static PciBridge Bridge() => new("bridge", new PciIdentity(1, 2, PciIdentity.BridgeClass));

    [Fact]
    public void Windows_come_in_their_units_with_the_limits_low_bits_as_ones()
    {
        PciBridge bridge = Bridge();
        bridge.WriteConfig(PciRegisters.IoBase, 2, 0xFFFF & 0x2010);
        bridge.WriteConfig(PciRegisters.MemoryBase, 4, 0xE01F_E00F);
        bridge.WriteConfig(PciRegisters.PrefetchableBase, 4, 0x0020_0010);
        bridge.WriteConfig(PciRegisters.PrefetchableBaseUpper, 4, 0x6B);
        bridge.WriteConfig(PciRegisters.PrefetchableLimitUpper, 4, 0x6C);
        Assert.Equal(Build.Range(0x1000, 0x2000), bridge.Window(BridgeWindow.Io));
        Assert.Equal(Build.Range(0xE000_0000, 0x20_0000), bridge.Window(BridgeWindow.Memory));
        Assert.Equal(AddressRange.FromBounds(Build.At(0x6B_0010_0000), Build.At(0x6C_002F_FFFF)), bridge.Window(BridgeWindow.Prefetchable));
        Assert.Equal(0x0021_0011u, bridge.ReadConfig(PciRegisters.PrefetchableBase, 4));
    }

    [Fact]
    public void A_window_whose_base_is_above_its_limit_is_closed()
    {
        PciBridge bridge = Bridge();
        foreach (BridgeWindow window in Enum.GetValues<BridgeWindow>())
        {
            bridge.ProgramWindow(window, window == BridgeWindow.Io ? Build.Range(0x1000, 0x1000) : Build.Range(0x10_0000, 0x10_0000));
            Assert.NotNull(bridge.Window(window));
            bridge.ProgramWindow(window, null);
            Assert.Null(bridge.Window(window));
        }
    }

    [Fact]
    public void A_window_over_the_whole_address_space_is_no_failure()
    {
        PciBridge bridge = Bridge();
        bridge.WriteConfig(PciRegisters.PrefetchableBase, 4, 0xFFF0_0000);
        bridge.WriteConfig(PciRegisters.PrefetchableLimitUpper, 4, uint.MaxValue);
        Assert.True(bridge.Window(BridgeWindow.Prefetchable)!.Value.Contains(Build.At(long.MaxValue)));
    }

    [Fact]
    public void Firmware_cannot_program_a_window_that_the_registers_cannot_say()
    {
        PciBridge bridge = Bridge();
        Assert.Throws<ArgumentException>(() => bridge.ProgramWindow(BridgeWindow.Memory, Build.Range(0x1_0000_0000, 0x10_0000)));
        Assert.Throws<ArgumentException>(() => bridge.ProgramWindow(BridgeWindow.Prefetchable, Build.Range(0x1_0000_0000, 0x18_0000)));
        Assert.Throws<ArgumentException>(() => bridge.ProgramWindow(BridgeWindow.Io, Build.Range(0x800, 0x1000)));
        Assert.Throws<ArgumentException>(() => bridge.ProgramWindow(BridgeWindow.Io, Build.Range(0xF000, 0x2000)));
    }

    [Fact]
    public void A_locked_window_reads_as_its_lock_and_forwards_what_the_guest_asked_for_too()
    {
        PciBridge bridge = Bridge();
        bridge.WriteConfig(PciRegisters.Command, 2, 3);
        bridge.LockWindow(BridgeWindow.Memory, Build.Range(0xE000_0000, 0x20_0000));
        Assert.Equal(ConfigChange.DecodeMap, bridge.WriteConfig(PciRegisters.MemoryBase, 4, 0xD01F_D010));
        Assert.Equal(0xE010_E000u, bridge.ReadConfig(PciRegisters.MemoryBase, 4));
        Assert.True(bridge.Forwards(Build.Range(0xE000_0000, 0x20_0000), io: false));
        Assert.True(bridge.Forwards(Build.Range(0xD010_0000, 0x10_0000), io: false));
        Assert.False(bridge.Forwards(Build.Range(0xD000_0000, 0x10_0000), io: false));
        Assert.False(bridge.Forwards(Build.Range(0xE020_0000, 0x10_0000), io: false));

        // The other windows are as ever.
        bridge.WriteConfig(PciRegisters.IoBase, 2, 0x2010);
        Assert.Equal(Build.Range(0x1000, 0x2000), bridge.Window(BridgeWindow.Io));
        bridge.Reset(ResetKind.Conventional);
        bridge.WriteConfig(PciRegisters.Command, 2, 2);
        Assert.Equal(0xE010_E000u, bridge.ReadConfig(PciRegisters.MemoryBase, 4));
        Assert.False(bridge.Forwards(Build.Range(0xD010_0000, 0x10_0000), io: false));
    }

    [Fact]
    public void A_locked_64_bit_window_takes_the_guests_four_writes_one_by_one()
    {
        PciBridge bridge = Bridge();
        bridge.WriteConfig(PciRegisters.Command, 2, 2);
        bridge.LockWindow(BridgeWindow.Prefetchable, Build.Range(0x1000_0000_0000, 0x10_0000));
        bridge.WriteConfig(PciRegisters.PrefetchableBase, 2, 0x0000);
        bridge.WriteConfig(PciRegisters.PrefetchableBase + 2, 2, 0x0FF0);
        bridge.WriteConfig(PciRegisters.PrefetchableBaseUpper, 4, 0x20);
        bridge.WriteConfig(PciRegisters.PrefetchableLimitUpper, 4, 0x20);
        Assert.Equal(Build.Range(0x1000_0000_0000, 0x10_0000), bridge.Window(BridgeWindow.Prefetchable));
        Assert.True(bridge.Forwards(Build.Range(0x20_0000_0000, 0x1000_0000), io: false));
        Assert.False(bridge.Forwards(Build.Range(0x20_1000_0000, 0x10_0000), io: false));
    }

    [Fact]
    public void Window_writes_ask_for_a_new_map_only_while_the_bridge_forwards()
    {
        PciBridge bridge = Bridge();
        Assert.Equal(ConfigChange.None, bridge.WriteConfig(PciRegisters.MemoryBase, 4, 0xE000_E000));
        bridge.WriteConfig(PciRegisters.Command, 2, 2);
        Assert.Equal(ConfigChange.DecodeMap, bridge.WriteConfig(PciRegisters.MemoryBase, 4, 0xE010_E000));
        Assert.Equal(ConfigChange.None, bridge.WriteConfig(PciRegisters.IoBase, 2, 0x2010));
        Assert.Equal(ConfigChange.BusNumbers, bridge.WriteConfig(PciRegisters.PrimaryBus + 1, 1, 5));
    }

    [Fact]
    public void Isa_enable_blocks_all_but_the_first_256_ports_of_each_kib()
    {
        PciBridge bridge = Bridge();
        bridge.ProgramWindow(BridgeWindow.Io, Build.Range(0x1000, 0x1000));
        bridge.WriteConfig(PciRegisters.Command, 2, 1);
        Assert.True(bridge.Forwards(Build.Range(0x1100, 0x100), io: true));
        bridge.WriteConfig(PciRegisters.BridgeControl, 2, PciBridge.IsaEnable);
        Assert.False(bridge.Forwards(Build.Range(0x1100, 0x100), io: true));
        Assert.False(bridge.Forwards(Build.Range(0x1000, 0x200), io: true));
        Assert.True(bridge.Forwards(Build.Range(0x1400, 0x100), io: true));
    }

    [Fact]
    public void Bridge_control_bit_6_rising_resets_everything_below_and_holds_it_off_the_bus_until_it_falls()
    {
        RecordingWriteSink sink = new();
        PciHierarchy hierarchy = new(sink);
        RootPort port = new("port", 1);
        PciFunction function = Build.Function();
        function.AddBar(0, BarKind.Memory32, 0x1000);
        hierarchy.Root.Add(8, port);
        port.Secondary.Add(0, function);
        port.ProgramBusNumbers(0, 1, 1);
        Bdf bdf = new(1, 0, 0);
        hierarchy.ConfigWrite(bdf, PciRegisters.Bar0, 4, 0xE000_0000);
        hierarchy.ConfigWrite(bdf, PciRegisters.Command, 2, 7);

        hierarchy.ConfigWrite(port.Bdf, PciRegisters.BridgeControl, 2, PciBridge.SecondaryBusReset);
        Assert.True(sink.Writes[^1].Change.HasFlag(ConfigChange.SecondaryReset | ConfigChange.DecodeMap));
        Assert.Equal(uint.MaxValue, hierarchy.ConfigRead(bdf, 0, 4));
        hierarchy.ConfigWrite(bdf, PciRegisters.Command, 2, 7);
        Assert.Equal(PciCommand.None, function.Command);

        hierarchy.ConfigWrite(port.Bdf, PciRegisters.BridgeControl, 2, 0);
        Assert.False(sink.Writes[^1].Change.HasFlag(ConfigChange.SecondaryReset));
        Assert.Equal(0u, hierarchy.ConfigRead(bdf, PciRegisters.Bar0, 4));
        Assert.Equal(0x5678_1234u, hierarchy.ConfigRead(bdf, 0, 4));
    }

    [Fact]
    public void Ports_say_their_type_slot_and_link_in_the_express_capability()
    {
        RootPort root = new("root", 5);
        SwitchUpstreamPort up = new("up", 0x1234);
        SwitchDownstreamPort down = new("down", 9);
        Assert.Equal(4u, Type(root));
        Assert.Equal(5u, Type(up));
        Assert.Equal(6u, Type(down));
        Assert.All<PciePort>([root, down], port => Assert.NotEqual(0u, port.ReadConfig(port.Express.Offset + 2, 2) & 0x100));
        Assert.Equal(0u, up.ReadConfig(up.Express.Offset + 2, 2) & 0x100);
        Assert.Equal(9u, down.ReadConfig(down.Express.Offset + 0x14, 4) >> 19);
        Assert.Equal(0x0604u, root.ReadConfig(0x0A, 2));
        Assert.All<PciBridge>([root, up, down], port => Assert.Equal(1u, port.ReadConfig(PciRegisters.HeaderType, 1) & 0x7F));

        static uint Type(PciePort port) => port.ReadConfig(port.Express.Offset + 2, 2) >> 4 & 0xF;
    }

    [Fact]
    public void Link_and_slot_status_follow_what_is_below_the_port_and_survive_a_reset()
    {
        RootPort root = new("root", 1);
        int link = root.Express.Offset + 0x12;
        int slot = root.Express.Offset + 0x1A;
        Assert.Equal((0u, 0u), (root.ReadConfig(link, 2) & 0x2000, root.ReadConfig(slot, 2) & 0x40));
        PciFunction function = Build.Function();
        root.Secondary.Add(0, function);
        root.Reset(ResetKind.Cold);
        Assert.Equal((0x2000u, 0x40u), (root.ReadConfig(link, 2) & 0x2000, root.ReadConfig(slot, 2) & 0x40));
        Assert.Equal(0x104u, root.ReadConfig(link, 2) & 0x3FF);
        root.Secondary.Remove(function);
        Assert.Equal((0u, 0u), (root.ReadConfig(link, 2) & 0x2000, root.ReadConfig(slot, 2) & 0x40));
    }

    [Fact]
    public void Acs_controls_can_be_turned_on_where_they_are_offered()
    {
        RootPort root = new("root", 1);
        AcsCapability acs = root.Find<AcsCapability>()!;
        root.WriteConfig(acs.Offset + 6, 2, 0xFFFF);
        Assert.Equal(AcsControls.Port, acs.Enabled);
        Assert.Equal(0x5Fu, root.ReadConfig(acs.Offset + 6, 2));
        Assert.Equal(0x5Fu, root.ReadConfig(acs.Offset + 4, 2));
    }

    [Fact]
    public void Intx_swizzles_by_device_number_at_each_bridge_up_to_the_root()
    {
        PciHierarchy hierarchy = new();
        PciBridge outer = Bridge();
        PciBridge inner = Bridge();
        PciFunction function = Build.Function();
        hierarchy.Root.Add(7 << 3, outer);
        outer.Secondary.Add(2 << 3, inner);
        inner.Secondary.Add(3 << 3, function);
        Assert.Equal(new IntxRoute(7, 0), PciInterrupts.Swizzle(function));
        function.SetInterruptPin(1);

        // INTA of device 3 is INTD on the bridge; that bridge is device 2, so INTB on the next.
        Assert.Equal(new IntxRoute(7, 2), PciInterrupts.Swizzle(function));
        Assert.Equal(new IntxRoute(7, 0), PciInterrupts.Swizzle(outer));
    }

    [Fact]
    public void Below_a_port_every_function_is_of_device_0_and_its_pin_is_not_rotated()
    {
        PciHierarchy hierarchy = new();
        RootPort port = new("port", 1);
        PciFunction function = Build.Function();
        function.AddCapability(new AriCapability());
        function.SetInterruptPin(2);
        hierarchy.Root.Add(3 << 3, port);
        port.Secondary.Add(1 << 3, function);
        Assert.Equal(new IntxRoute(3, 2), PciInterrupts.Swizzle(function));
    }

    [Fact]
    public void Multi_function_bit_is_set_on_devices_with_more_than_one_function_and_only_there()
    {
        PciHierarchy hierarchy = new();
        PciFunction first = Build.Function("a");
        PciFunction second = Build.Function("b");
        PciFunction other = Build.Function("c");
        hierarchy.Root.Add(0x10, first);
        hierarchy.Root.Add(0x13, second);
        hierarchy.Root.Add(0x18, other);
        Assert.Equal([0x80u, 0x80u, 0u], new[] { first, second, other }.Select(f => f.ReadConfig(PciRegisters.HeaderType, 1)));
        first.Reset(ResetKind.Cold);
        Assert.Equal(0x80u, first.ReadConfig(PciRegisters.HeaderType, 1));
        hierarchy.Root.Remove(second);
        Assert.Equal(0u, first.ReadConfig(PciRegisters.HeaderType, 1));
    }
}
