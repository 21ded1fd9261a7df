using Aperture.Pci.Capabilities;
using Aperture.Pci.Ports;
using Aperture.Pci.Registers;

namespace Aperture.Pci.Tests;

public class FunctionTests
{
    private sealed class Hooked() : PciFunction("hooked", Build.Identity, ConfigSpace.ConventionalSize)
    {
        public List<(int Offset, int Size, uint Value)> Seen { get; } = [];

        protected override bool OnConfigWriting(int offset, int size, ref uint value)
        {
            if (offset == 0x60 && (value & 6) == 6)
            {
                return false;
            }

            if (offset == 0x64)
            {
                value = 0x1234;
            }

            return true;
        }

        protected override ConfigChange OnConfigWritten(int offset, int size, uint value)
        {
            Seen.Add((offset, size, value));
            return offset >= 0x60 ? ConfigChange.DeviceSpecific : ConfigChange.None;
        }
    }

    [Fact]
    public void A_type_0_header_shows_ids_class_and_subsystem_and_none_of_them_can_be_written()
    {
        PciFunction function = Build.Function();
        for (int offset = 0; offset < 0x30; offset += 4)
        {
            function.WriteConfig(offset, 4, uint.MaxValue);
        }

        Assert.Equal(0x5678_1234u, function.ReadConfig(PciRegisters.VendorId, 4));
        Assert.Equal(0xFF00_0003u, function.ReadConfig(PciRegisters.Revision, 4));
        Assert.Equal(0xEF01_ABCDu, function.ReadConfig(PciRegisters.SubsystemVendorId, 4));
        Assert.Equal(0u, function.ReadConfig(PciRegisters.HeaderType, 1));
    }

    [Fact]
    public void Only_implemented_command_bits_can_be_written_and_bits_for_conventional_buses_stay_zero()
    {
        PciFunction function = Build.Function();
        function.WriteConfig(PciRegisters.Command, 2, 0xFFFF);
        Assert.Equal(0x0547u, function.ReadConfig(PciRegisters.Command, 2));
    }

    [Fact]
    public void Status_error_bits_are_cleared_by_writing_one_and_only_by_that()
    {
        PciFunction function = Build.Function();
        function.Config.Set(PciRegisters.Command, 0xF900_0000, 0xFFFF_0000);
        function.WriteConfig(PciRegisters.Status, 2, 0);
        Assert.Equal(0xF900u, function.ReadConfig(PciRegisters.Status, 2));
        function.WriteConfig(PciRegisters.Status, 2, 0x2100);
        Assert.Equal(0xD800u, function.ReadConfig(PciRegisters.Status, 2));
    }

    [Fact]
    public void Asserting_intx_sets_status_bit_3_whether_or_not_it_is_disabled_and_drives_the_line_only_when_enabled()
    {
        PciFunction function = Build.Function();
        RecordingLine line = new();
        function.IntxLine = line;
        function.SetInterruptPin(2);
        function.SetIntx(true);
        Assert.True(line.Level);
        Assert.Equal(0x08u, function.ReadConfig(PciRegisters.Status, 1));
        Assert.Equal(0x0008_0000u, function.ReadConfig(PciRegisters.Command, 4));
        Assert.Equal(0x0800u, function.ReadConfig(5, 2));

        ConfigChange change = function.WriteConfig(PciRegisters.Command, 2, 0x400);
        Assert.Equal(ConfigChange.Interrupts, change);
        Assert.False(line.Level);
        Assert.Equal(0x08u, function.ReadConfig(PciRegisters.Status, 1));

        function.WriteConfig(PciRegisters.Command, 2, 0);
        Assert.True(line.Level);
        function.SetIntx(false);
        Assert.False(line.Level);
        Assert.Equal(0u, function.ReadConfig(PciRegisters.Status, 1));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Enabling_messages_silences_a_raised_intx_and_disabling_them_lets_it_through_again(bool msix)
    {
        PciFunction function = Build.Function();
        StandardCapability capability = msix ? new MsixCapability(2, 0, 0, 0, 0x800) : new MsiCapability(1);
        function.AddCapability(capability);
        RecordingLine line = new();
        function.IntxLine = line;
        function.SetInterruptPin(1);
        function.SetIntx(true);
        Assert.True(line.Level);

        uint enable = msix ? 0x8000u : 1u;
        function.WriteConfig(capability.Offset + 2, 2, enable);
        Assert.False(line.Level);
        Assert.Equal(0x18u, function.ReadConfig(PciRegisters.Status, 1));
        function.SetIntx(false);
        function.SetIntx(true);
        Assert.False(line.Level);

        function.WriteConfig(capability.Offset + 2, 2, 0);
        Assert.True(line.Level);
        function.WriteConfig(PciRegisters.Command, 2, (uint)PciCommand.InterruptDisable);
        function.WriteConfig(capability.Offset + 2, 2, enable);
        function.WriteConfig(capability.Offset + 2, 2, 0);
        Assert.False(line.Level);
        function.WriteConfig(PciRegisters.Command, 2, 0);
        Assert.True(line.Level);
        function.Reset(ResetKind.Function);
        Assert.False(line.Level);
    }

    [Fact]
    public void A_function_in_D3hot_drives_no_line_and_drives_it_again_in_D0_if_it_still_has_reason_to()
    {
        PciFunction function = Build.Function();
        PowerManagementCapability power = new();
        function.AddCapability(power);
        RecordingLine line = new();
        function.IntxLine = line;
        function.SetInterruptPin(1);
        function.SetIntx(true);
        function.WriteConfig(power.Offset + 4, 2, 3);
        Assert.False(line.Level);
        Assert.Equal(0x18u, function.ReadConfig(PciRegisters.Status, 1));
        function.SetIntx(false);
        function.SetIntx(true);
        Assert.False(line.Level);
        function.WriteConfig(power.Offset + 4, 2, 0);
        Assert.True(line.Level);
        function.WriteConfig(power.Offset + 4, 2, 3);
        function.SetIntx(false);
        function.WriteConfig(power.Offset + 4, 2, 0);
        Assert.False(line.Level);
    }

    [Fact]
    public void A_function_without_an_interrupt_pin_never_drives_a_line()
    {
        PciFunction function = Build.Function();
        RecordingLine line = new();
        function.IntxLine = line;
        function.SetIntx(true);
        Assert.False(line.Level);
    }

    [Fact]
    public void Command_bits_say_what_changed()
    {
        PciFunction function = Build.Function();
        Assert.Equal(ConfigChange.DecodeMap, function.WriteConfig(PciRegisters.Command, 2, 0x0002));
        Assert.Equal(ConfigChange.None, function.WriteConfig(PciRegisters.Command, 2, 0x0002));
        Assert.Equal(ConfigChange.DecodeMap | ConfigChange.BusMaster, function.WriteConfig(PciRegisters.Command, 1, 0x0005));
        Assert.Equal(ConfigChange.None, function.WriteConfig(PciRegisters.Command, 2, 0x0045));
    }

    [Fact]
    public void A_hook_can_veto_or_replace_a_write_and_report_a_change()
    {
        Hooked function = new();
        function.Config.Define(0x60, 4, 0xB000_0000, writable: 0xF000_0007);
        function.Config.Define(0x64, 4, 0, writable: uint.MaxValue);
        Assert.Equal(ConfigChange.None, function.WriteConfig(0x60, 4, 0xC000_0007));
        Assert.Equal(0xB000_0000u, function.ReadConfig(0x60, 4));
        Assert.Empty(function.Seen);
        Assert.Equal(ConfigChange.DeviceSpecific, function.WriteConfig(0x60, 4, 0xC000_0001));
        Assert.Equal(0xC000_0001u, function.ReadConfig(0x60, 4));
        function.WriteConfig(0x64, 4, 5);
        Assert.Equal(0x1234u, function.ReadConfig(0x64, 4));
    }

    [Fact]
    public void Standard_capabilities_form_a_chain_and_set_the_capability_list_bit()
    {
        PciFunction function = Build.Function();
        Assert.Equal(0u, function.ReadConfig(PciRegisters.Status, 2) & 0x10);
        function.AddCapability(new PowerManagementCapability());
        function.AddCapability(new MsiCapability(4), 0x70);
        function.AddCapability(new MsixCapability(3, 0, 0, 0, 0x800));
        Assert.Equal(0x10u, function.ReadConfig(PciRegisters.Status, 2) & 0x10);
        Assert.Equal([(0x01u, 0x40), (0x05u, 0x70), (0x11u, 0x88)], StandardChain(function));
    }

    [Fact]
    public void Extended_capabilities_start_at_0x100_and_carry_version_and_next()
    {
        PciFunction function = Build.Function();
        function.AddCapability(new SerialNumberCapability(0x0011_2233_4455_6677));
        function.AddCapability(new AriCapability());
        Assert.Equal(0x10C1_0003u, function.ReadConfig(0x100, 4));
        Assert.Equal(0x4455_6677u, function.ReadConfig(0x104, 4));
        Assert.Equal(0x0011_2233u, function.ReadConfig(0x108, 4));
        Assert.Equal(0x0001_000Eu, function.ReadConfig(0x10C, 4));
    }

    [Fact]
    public void Capabilities_that_do_not_fit_are_refused_in_one_sentence()
    {
        PciFunction conventional = Build.Function("small", ConfigSpace.ConventionalSize);
        ApertureException none = Assert.Throws<ApertureException>(() => conventional.AddCapability(new AriCapability()));
        Assert.Contains("small", none.Message, StringComparison.Ordinal);
        conventional.AddCapability(new MsiCapability(1), 0x50);
        Assert.Throws<ApertureException>(() => conventional.AddCapability(new PowerManagementCapability(), 0x54));
        Assert.Throws<ApertureException>(() => conventional.AddCapability(new PowerManagementCapability(), 0x3C));
        Assert.Throws<ApertureException>(() => conventional.AddCapability(new PowerManagementCapability(), 0xFC));
    }

    [Fact]
    public void Function_level_reset_returns_registers_to_their_reset_values_and_is_reported()
    {
        PciFunction function = Build.Function();
        PciExpressCapability express = new(PciePortType.Endpoint);
        function.AddCapability(express);
        function.AddBar(0, BarKind.Memory32, 0x1000);
        function.WriteConfig(PciRegisters.Bar0, 4, 0xE000_0000);
        Build.Enable(function);
        Assert.NotEqual(0u, function.ReadConfig(express.Offset + 4, 4) & 1u << 28);
        ConfigChange change = function.WriteConfig(express.Offset + 8, 2, 0xA810);
        Assert.True(change.HasFlag(ConfigChange.FunctionReset | ConfigChange.DecodeMap));
        Assert.Equal(0u, function.ReadConfig(PciRegisters.Bar0, 4));
        Assert.Equal(0u, function.ReadConfig(PciRegisters.Command, 2));
        Assert.Equal(0u, function.ReadConfig(express.Offset + 8, 2) & 0x8000);
    }

    [Fact]
    public void Unsupported_power_states_are_ignored_and_d3hot_stops_requests()
    {
        PciFunction function = Build.Function();
        PowerManagementCapability power = new();
        function.AddCapability(power);
        Build.Enable(function);
        Assert.Equal(ConfigChange.None, function.WriteConfig(power.Offset + 4, 1, 1));
        Assert.Equal(PowerState.D0, power.State);
        Assert.Equal(ConfigChange.PowerState | ConfigChange.DecodeMap, function.WriteConfig(power.Offset + 4, 1, 3));
        Assert.Equal(PowerState.D3Hot, power.State);
        Assert.False(function.MayIssueRequests);
        Assert.Equal(ConfigChange.None, function.WriteConfig(power.Offset + 4, 1, 2));
        Assert.Equal(PowerState.D3Hot, power.State);
        function.WriteConfig(power.Offset + 4, 1, 0);
        Assert.True(function.MayIssueRequests);
    }

    [Fact]
    public void Error_masks_and_status_survive_a_hot_reset_but_not_a_cold_one()
    {
        PciFunction function = Build.Function();
        AdvancedErrorCapability errors = new();
        function.AddCapability(errors);
        function.WriteConfig(errors.Offset + 8, 4, 0x0001_0000);
        function.Config.Set(errors.Offset + 4, 0x0010_0000);
        function.Reset(ResetKind.Conventional);
        Assert.Equal(0x0001_0000u, function.ReadConfig(errors.Offset + 8, 4));
        Assert.Equal(0x0010_0000u, function.ReadConfig(errors.Offset + 4, 4));
        function.WriteConfig(errors.Offset + 4, 4, 0x0010_0000);
        Assert.Equal(0u, function.ReadConfig(errors.Offset + 4, 4));
        function.Reset(ResetKind.Cold);
        Assert.Equal(0x0040_0000u, function.ReadConfig(errors.Offset + 8, 4));
    }

    private static List<(uint Id, int Offset)> StandardChain(PciFunction function)
    {
        List<(uint, int)> chain = [];
        for (int at = (int)function.ReadConfig(PciRegisters.CapabilitiesPointer, 1); at != 0; at = (int)function.ReadConfig(at + 1, 1))
        {
            chain.Add((function.ReadConfig(at, 1), at));
            Assert.True(chain.Count < 48);
        }

        return chain;
    }
}
