using Aperture.Pci.Registers;
using Aperture.TestKit.Parts.Assigned;

namespace Aperture.Assignment.Tests;

/// <summary>INTx of an assigned function.</summary>
public class AssignedIntxTests
{
    [Fact]
    public void Intx_is_connected_to_the_input_with_the_kernel_unmasking()
    {
        using Bench bench = new(SampleConfig.Teaching());
        bench.Function.IntxGsi = 18;
        Assert.Equal([18u], bench.Guest.Levels);
        Assert.NotNull(bench.Device.Unmask);
        bench.Device.Raise(VfioIrqIndex.Intx);
        Assert.Equal(1, bench.Guest.LevelRaises);
        Assert.Equal(0, bench.Function.RelayedInterrupts);
    }

    [Fact]
    public void The_interrupt_status_is_the_devices_own_while_the_kernel_delivers()
    {
        using Bench bench = new(SampleConfig.Teaching());
        bench.Function.IntxGsi = 18;
        Assert.Equal(0u, bench.Read(PciRegisters.Status, 2) & 8);
        bench.Device.Config[PciRegisters.Status] |= 8;
        bench.Device.Raise(VfioIrqIndex.Intx);
        Assert.Equal(0, bench.Function.RelayedInterrupts);
        Assert.Equal(8u, bench.Read(PciRegisters.Status, 1) & 8);
        Assert.Equal(8u, bench.Read(PciRegisters.Status, 2) & 8);
        Assert.Equal(8u << 16, bench.Read(PciRegisters.Command, 4) & (8u << 16));
        Assert.Equal(0u, bench.Read(PciRegisters.Command, 2) & 8);

        // The bit stays while INTx is disabled (PCI Local Bus 3.0, section 6.2.3), and falls when the device has been served.
        bench.Enable(PciCommand.InterruptDisable);
        Assert.Equal(8u, bench.Read(PciRegisters.Status, 2) & 8);
        bench.Device.Config[PciRegisters.Status] &= 0xF7;
        Assert.Equal(0u, bench.Read(PciRegisters.Status, 2) & 8);

        // A device that does not answer for a moment, as in a reset, has nothing pending.
        (bench.Device.Config[PciRegisters.Status], bench.Device.Config[PciRegisters.Status + 1]) = (0xFF, 0xFF);
        Assert.Equal(0u, bench.Read(PciRegisters.Status, 2) & 8);
    }

    [Fact]
    public void Intx_reaches_the_8259s_too_while_the_guest_routes_it_there()
    {
        using Bench bench = new(SampleConfig.Teaching());
        bench.Function.IntxGsi = 18;
        Assert.Null(bench.Guest.Isa);
        bench.Function.IntxIsa = 10;
        Assert.Equal([18u], bench.Guest.Levels);
        Assert.Equal(10u, bench.Guest.Isa);
        Assert.Equal(0, bench.Function.RelayedInterrupts);
        bench.Function.IntxIsa = 11;
        Assert.Equal(11u, bench.Guest.Isa);
        bench.Write(0x42, 2, 1);
        Assert.Empty(bench.Guest.Levels);
        bench.Function.IntxIsa = 10;
        Assert.Empty(bench.Guest.Levels);
        bench.Write(0x42, 2, 0);
        Assert.Equal(10u, bench.Guest.Isa);
        bench.Function.IntxIsa = null;
        Assert.Equal([18u], bench.Guest.Levels);
        Assert.Null(bench.Guest.Isa);
    }

    [Fact]
    public void Where_the_hypervisor_cannot_reach_the_8259s_input_the_line_does()
    {
        using Bench bench = new(SampleConfig.Teaching(), guest: new FakeGuest { TakenIsa = 10 });
        bench.Function.IntxGsi = 18;
        bench.Function.IntxIsa = 10;
        Assert.Equal(1, bench.Function.RelayedInterrupts);
        bench.Device.Raise(VfioIrqIndex.Intx);
        Bench.Eventually(() => bench.Line.Rises == 1);
        bench.Function.IntxIsa = 11;
        Assert.Equal(0, bench.Function.RelayedInterrupts);
        Assert.Equal([18u], bench.Guest.Levels);
    }

    [Fact]
    public void Another_input_takes_the_place_of_the_first()
    {
        using Bench bench = new(SampleConfig.Teaching());
        bench.Function.IntxGsi = 18;
        bench.Function.IntxGsi = 19;
        Assert.Equal([19u], bench.Guest.Levels);
    }

    [Fact]
    public void The_disable_bit_disconnects_intx_and_clearing_it_connects_it_again()
    {
        using Bench bench = new(SampleConfig.Teaching());
        bench.Function.IntxGsi = 18;
        bench.Enable(PciCommand.InterruptDisable);
        Assert.Empty(bench.Guest.Levels);
        Assert.Empty(bench.Device.Enabled(VfioIrqIndex.Intx));
        Assert.Equal(0x04, bench.Device.Config[5]);
        bench.Enable(PciCommand.None);
        Assert.Equal([18u], bench.Guest.Levels);
        Assert.Equal(0, bench.Device.Config[5]);
    }

    [Fact]
    public void Msi_takes_intx_away_and_gives_it_back()
    {
        using Bench bench = new(SampleConfig.Teaching());
        bench.Function.IntxGsi = 18;
        bench.Write(0x42, 2, 1);
        Assert.Empty(bench.Guest.Levels);
        Assert.Empty(bench.Device.Enabled(VfioIrqIndex.Intx));
        bench.Write(0x42, 2, 0);
        Assert.Equal([18u], bench.Guest.Levels);
    }

    [Fact]
    public void A_reset_brings_intx_back()
    {
        using Bench bench = Bench.Nvme();
        bench.Function.IntxGsi = 18;
        bench.SetMsix(true);
        bench.Write(0x78, 2, 0x8000);
        Assert.Equal([18u], bench.Guest.Levels);
    }

    [Fact]
    public void Without_levels_in_the_hypervisor_the_line_is_raised_here_and_falls_when_the_guest_touches_the_device_or_a_moment_later()
    {
        using Bench bench = new(SampleConfig.Teaching(), new AssignedOptions("dev") { TrapAll = true }, guest: new FakeGuest { HasLevels = false });
        bench.Function.IntxGsi = 18;
        Assert.Equal(1, bench.Function.RelayedInterrupts);
        bench.Device.Raise(VfioIrqIndex.Intx);
        Bench.Eventually(() => bench.Line.Rises == 1);
        bench.Function.PartsOf(bench.Function.FindBar(0)!)[0].Region.Handler!.Read(0, 4, out _);
        Bench.Eventually(() => !bench.Line.Level && bench.Device.IntxUnmasked == 1);
        bench.Device.Raise(VfioIrqIndex.Intx);
        Bench.Eventually(() => bench.Line.Rises == 2);
        Bench.Eventually(() => !bench.Line.Level && bench.Device.IntxUnmasked == 2);
    }

    [Fact]
    public void A_host_that_cannot_unmask_by_itself_falls_back_to_this_process()
    {
        FakeDevice device = SampleConfig.Teaching();
        device.UnmaskErrno = 25;
        using Bench bench = new(device);
        bench.Function.IntxGsi = 18;
        Assert.Empty(bench.Guest.Levels);
        bench.Device.Raise(VfioIrqIndex.Intx);
        Bench.Eventually(() => bench.Line.Rises == 1);
    }

    [Fact]
    public void Intx_that_the_host_refuses_is_reported()
    {
        FakeDevice device = SampleConfig.Teaching();
        device.TriggerErrno = (index, _, _) => index == VfioIrqIndex.Intx ? 22 : 0;
        using Bench bench = new(device);
        bench.Function.IntxGsi = 18;
        Assert.Contains("interrupts 0 failed 22", bench.Events.Seen);
        Assert.Empty(bench.Guest.Levels);
    }
}
