using Aperture.Devices.Pc;
using Aperture.Devices.Serial;
using Aperture.Devices.TestDevice;
using Aperture.Devices.Tests.Fakes;
using Aperture.Pci;
using Aperture.Pci.Registers;
using Aperture.TestKit.Devices;
using Aperture.TestKit.Parts.Devices;

namespace Aperture.Devices.Tests;

public class AllocationTests
{
    [Fact]
    public void UART_transmits_and_status_reads_allocate_nothing()
    {
        using StreamSerialBackend backend = new(Stream.Null);
        Serial16550 uart = new(new FakeLine(), backend);
        Allocations.None(() =>
        {
            uart.Read(5, 1, out _);
            uart.Write(0, 1, 'x');
            uart.Read(2, 1, out _);
        });
    }

    [Fact]
    public void Test_device_registers_patterns_and_DMA_allocate_nothing()
    {
        TestFunction function = new(TestSpecs.Parse("id=t,bar0=mem32:64K,bar1=mem32:4K,rom=2K,msix=4"), _ => new FakeDma(1 << 16));
        function.WriteConfig(PciRegisters.Command, 2, 0x7);
        IAccessHandler registers = function.Handler(0)!;
        IAccessHandler pattern = function.Handler(1)!;
        IAccessHandler rom = function.Handler(BarKinds.RomIndex)!;
        Allocations.None(() =>
        {
            registers.Read(0, 4, out _);
            registers.Write(0x10, 8, 1);
            registers.Write(0x40, 4, 64);
            registers.Write(0x44, 4, 3);
            registers.Read(0x8000, 4, out _);
            registers.Write(0x20, 4, 0);
            registers.Write(0x24, 4, 1);
            pattern.Read(0x40, 4, out _);
            pattern.Write(0x44, 4, 7);
            rom.Read(0, 4, out _);
        });
    }

    [Fact]
    public void Platform_devices_allocate_nothing()
    {
        FakeMachine machine = new();
        using AcpiPmBlock pm = new(TimeProvider.System, new FakeLine(), machine);
        using Cmos cmos = new(TimeProvider.System, new FakeLine(), default);
        I8042 keyboard = new(machine, null);
        Allocations.None(() =>
        {
            pm.Read(8, 4, out _);
            pm.Write(0, 2, 0x100);
            cmos.Write(0, 1, 0x0A);
            cmos.Read(1, 1, out _);
            cmos.Write(0, 1, 0x04);
            cmos.Read(1, 1, out _);
            keyboard.Command.Read(0, 1, out _);
            keyboard.Command.Write(0, 1, 0xAA);
            keyboard.Data.Read(0, 1, out _);
        });
    }

    [Fact]
    public void Display_keyboard_and_event_timer_allocate_nothing()
    {
        using VgaDriver driver = new();
        driver.TextMode();
        using Hpet hpet = new(TimeProvider.System, _ => new FakeLine());
        I8042 keyboard = new(new FakeMachine(), new FakeLine());
        Allocations.None(() =>
        {
            driver.Vga.LegacyWindow.Write(0x18000, 4, 0x0741_0741);
            driver.Vga.LegacyWindow.Read(0x18000, 2, out _);
            driver.Vga.LegacyPorts.Read(0x2A, 1, out _);
            driver.Vga.BochsPorts.Read(1, 2, out _);
            hpet.Read(0xF0, 8, out _);
            hpet.Write(0x108, 8, 100);
            keyboard.Data.Write(0, 1, 0xF2);
            keyboard.Data.Read(0, 1, out _);
        });
    }
}
