using Aperture.Devices.TestDevice;
using Aperture.Linux;
using Aperture.Mediation.Mediators;
using Aperture.Memory;

namespace Aperture.Mediation.Tests;

/// <summary>The test device, served.</summary>
public class TestMediatorTests
{
    private const ulong Page = GrantBook.Page;

    [Fact]
    public void It_is_the_test_device_with_its_registers_and_configuration()
    {
        using Place place = new(new TestMediator());
        using TestGuest guest = place.Connect();
        Assert.Equal(TestRegisters.Magic, guest.Read(0, TestRegisters.Identification));
        Assert.Equal(TestRegisters.InstanceOf(place.Paths[0]), guest.Read(0, TestRegisters.Instance));
        guest.Write(0, TestRegisters.Scratch, 0x12345678);
        Assert.Equal([0x56, 0x34], guest.ReadMany(0, TestRegisters.Scratch + 1, 2));
        Assert.Equal(0x0001_A9E7u, guest.Read(7, 0));

        // BAR 0 has 16 KiB of 32-bit memory, BAR 2 1 MiB of 64 bits, prefetchable; MSI-X is there (PCI Local Bus 3.0, sections 6.2.5.1 and 6.8.2).
        Array.ForEach([0x10, 0x18, 0x1C], at => guest.Write(7, (ulong)at, uint.MaxValue));
        Assert.Equal((0xFFFFC000u, 0xFFF0000Cu, 0xFFFFFFFFu), (guest.Read(7, 0x10), guest.Read(7, 0x18), guest.Read(7, 0x1C)));
        uint pointer = guest.Read(7, 0x34) & 0xFF;
        Assert.Equal(0x11u | ((TestMediator.Vectors - 1u) << 16), guest.Read(7, pointer) & 0x07FF00FF);
        Assert.Equal((0x2000u, 0x3000u), (guest.Read(7, pointer + 4), guest.Read(7, pointer + 8)));
        Assert.Equal((1, 0, TestMediator.Vectors), (guest.Device.Irqs[0].Count, guest.Device.Irqs[1].Count, guest.Device.Irqs[2].Count));

        // The table holds what is written to it.
        guest.Write(0, 0x2000 + 16, 0xFEE00000);
        Assert.Equal((0xFEE00000u, 1u), (guest.Read(0, 0x2000 + 16), guest.Read(0, 0x2000 + 28)));
    }

    [Fact]
    public void Its_memory_is_mapped_from_the_start_and_the_next_guest_finds_zeros()
    {
        using Place place = new(new TestMediator(64 << 10));
        using (TestGuest guest = place.Connect())
        {
            Assert.Equal(new Assignment.VfioArea(0, 64 << 10), Assert.Single(guest.Device.Regions[2].Areas));
            using RamBlock mapped = guest.Device.Map(2, guest.Device.Regions[2].Areas[0]);
            Assert.Equal(0, GuardedCopy.TryWrite(mapped.HostAddress + (5 * Page), [1, 2, 3, 4]));
            Assert.Equal(0x04030201u, guest.Read(2, 5 * Page));
            guest.Write(2, 6 * Page, 7);
            byte[] seen = new byte[1];
            Assert.Equal(0, GuardedCopy.TryRead(mapped.HostAddress + (6 * Page), seen));
            Assert.Equal(7, seen[0]);
        }

        place.Reports.Await("mediation.ended");
        using TestGuest next = place.Connect();
        Assert.Equal((0u, 0u), (next.Read(2, 5 * Page), next.Read(2, 6 * Page)));
    }

    [Fact]
    public void It_interrupts_by_messages_when_they_are_enabled_and_by_its_pin_otherwise()
    {
        using Place place = new(new TestMediator());
        using TestGuest guest = place.Connect();
        guest.EnableBusMaster();
        using EventFd pin = guest.Tie(0, 0);
        guest.Write(0, TestRegisters.InterruptTrigger, 0);
        Assert.Equal(1u, guest.Read(0, TestRegisters.InterruptStatus));
        Assert.True(pin.TryTake(out _));
        guest.Write(0, TestRegisters.InterruptStatus, 1);
        Assert.Equal(0, guest.Device.DisableIrqs(0));
        using EventFd third = guest.Tie(2, 3);
        guest.Write(0, TestRegisters.InterruptTrigger, 3);
        Assert.Equal(2u, guest.Read(0, TestRegisters.InterruptCount));
        Assert.True(third.TryTake(out ulong count));
        Assert.Equal(1UL, count);

        // A message is a write of a bus master.
        Assert.Equal(0, guest.Device.Write(7, 4, [0x02, 0x00]));
        guest.Write(0, TestRegisters.InterruptTrigger, 3);
        guest.Read(0, TestRegisters.InterruptCount);
        Assert.False(third.TryTake(out _));
        Assert.False(pin.TryTake(out _));
    }

    [Fact]
    public void It_reaches_the_memory_that_it_was_given_and_nothing_beside_while_it_is_bus_master()
    {
        using RamBlock ram = RamBlock.Create("guest", 4 * Page, shared: true);
        using Place place = new(new TestMediator());
        using TestGuest guest = place.Connect(ram: ram);
        Assert.Equal(0, guest.Device.Iommu.Map(new AddressRange(new GuestAddress(0x10000), 4 * Page), ram.HostAddress, true));
        ram.Write(0x100, 0x0123456789ABCDEFUL);
        Copy(0x10100, 0x10200);
        Assert.Equal(0UL, ram.Read<ulong>(0x200));
        Assert.Equal(2u, guest.Read(0, TestRegisters.DmaStatus) & 3);

        guest.EnableBusMaster();
        Copy(0x10100, 0x10200);
        Assert.Equal(0x0123456789ABCDEFUL, ram.Read<ulong>(0x200));
        Assert.Equal(1u, guest.Read(0, TestRegisters.DmaStatus) & 3);
        foreach ((uint from, uint to) in new[] { (0x0FFFCu, 0x10200u), (0x10100u, 0x13FFCu), (0x10100u, 0xFFFFFFF8u), (0u, 0x10200u) })
        {
            Copy(from, to);
            Assert.Equal(2u, guest.Read(0, TestRegisters.DmaStatus) & 3);
        }

        void Copy(uint from, uint to)
        {
            guest.Write(0, TestRegisters.DmaSource, from);
            guest.Write(0, TestRegisters.DmaDestination, to);
            guest.Write(0, TestRegisters.DmaLength, 8);
            guest.Write(0, TestRegisters.DmaCommand, (uint)TestDmaCommand.GuestToGuest);
            guest.Read(0, TestRegisters.DmaStatus);
        }
    }
}
