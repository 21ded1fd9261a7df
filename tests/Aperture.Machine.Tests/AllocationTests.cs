using Aperture.Devices.TestDevice;
using Aperture.Machine.Tests.Fakes;
using Aperture.Pci.Registers;

namespace Aperture.Machine.Tests;

/// <summary>Answering an exit allocates nothing, so that a guest cannot drive the garbage collector.</summary>
public class AllocationTests
{
    private static TestBoard Board() =>
        TestBoard.Direct("--root-port id=rp", "--device test,id=a,port=rp,bar0=mem32:4K:trap,bar4=io:64", "--device debug-exit");

    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    [InlineData(8)]
    public void MMIO_reads_and_writes_of_a_device_register_allocate_nothing(int size)
    {
        using TestBoard board = Board();
        GuestAddress scratch = new(board.BarAt("a", 0) + TestRegisters.Scratch);
        Allocations.None(() => board.Cpu.MmioRead(scratch, size));
        Allocations.None(() => board.Cpu.MmioWrite(scratch, size, 5));
    }

    [Fact]
    public void Unclaimed_and_unaligned_accesses_allocate_nothing()
    {
        using TestBoard board = Board();
        GuestAddress nobody = new(0x70_0000_0000);
        GuestAddress across = new(board.BarAt("a", 0) + TestRegisters.Scratch + 1);
        Allocations.None(() => board.Cpu.MmioRead(nobody, 4));
        Allocations.None(() => board.Cpu.MmioRead(across, 4));
        Allocations.None(() => board.Cpu.PortRead(0x1234, 4));
    }

    [Fact]
    public void Config_reads_through_CF8_and_through_ECAM_allocate_nothing()
    {
        using TestBoard board = Board();
        Bdf place = board.Function("a").Bdf;
        GuestAddress ecam = new(0xB000_0000 + ((ulong)place.RoutingId << 12));
        Allocations.None(() => board.Read(place, 0x10));
        Allocations.None(() => board.Read(new Bdf(0xFF00), 0));
        Allocations.None(() => board.Cpu.MmioRead(ecam, 4));
    }

    [Fact]
    public void Config_writes_that_move_nothing_allocate_nothing()
    {
        using TestBoard board = Board();
        Bdf place = board.Function("a").Bdf;
        GuestAddress line = new(0xB000_0000 + ((ulong)place.RoutingId << 12) + PciRegisters.InterruptLine);
        uint next = 0;
        Allocations.None(() => board.Write(place, PciRegisters.InterruptLine, 1, next++ & 0xFF));
        Allocations.None(() => board.Cpu.MmioWrite(line, 1, next++ & 0xFF));
    }

    [Theory]
    [InlineData(0x80)]
    [InlineData(0x3FD)]
    [InlineData(0x608)]
    [InlineData(0x64)]
    [InlineData(0xF4)]
    public void Port_reads_of_the_boards_devices_allocate_nothing(ushort port)
    {
        using TestBoard board = Board();
        Allocations.None(() => board.Cpu.PortRead(port, 1));
    }

    [Fact]
    public void Accesses_to_an_IO_BAR_and_to_the_serial_port_allocate_nothing()
    {
        using TestBoard board = Board();
        ushort bar = (ushort)board.BarAt("a", 4);
        Allocations.None(() => board.Cpu.PortRead(bar, 4));
        Allocations.None(() => board.Cpu.PortWrite((ushort)(bar + 0x10), 4, 1));
        Allocations.None(() => board.Cpu.PortWrite(0x3F8, 1, 'x'));
    }
}
