using Aperture.Pci.Capabilities;
using Aperture.Pci.Registers;
using Aperture.TestKit.Parts.Assigned;

namespace Aperture.Assignment.Tests;

/// <summary>What the guest sees in configuration space.</summary>
public class AssignedConfigTests
{
    [Fact]
    public void Identity_and_interrupt_pin_are_the_devices()
    {
        using Bench bench = Bench.Nvme();
        Assert.Equal(0xA808_144Du, bench.Read(0, 4));
        Assert.Equal(0x0108_0201u, bench.Read(8, 4));
        Assert.Equal(0x1100_1AF4u, bench.Read(0x2C, 4));
        Assert.Equal(1u, bench.Read(0x3D, 1));
    }

    [Fact]
    public void A_pin_without_an_interrupt_of_the_host_is_not_shown()
    {
        FakeDevice device = SampleConfig.Nvme();
        device.Irqs[0] = device.Irqs[0] with { Count = 0 };
        using Bench bench = new(device);
        Assert.Equal(0u, bench.Read(0x3D, 1));
    }

    [Fact]
    public void Standard_capabilities_stay_at_the_devices_offsets_and_in_its_order()
    {
        using Bench bench = Bench.Nvme();
        Assert.Equal([(0x40, 0x01), (0x50, 0x05), (0x70, 0x10), (0xB0, 0x11), (0xC0, 0x09)], Standard(bench));
    }

    [Fact]
    public void Hidden_standard_capabilities_leave_the_chain_intact_and_their_registers_read_as_zero()
    {
        using Bench bench = new(SampleConfig.Nvme(), new AssignedOptions("dev") { HiddenCapabilities = [0x09, 0x05] });
        Assert.Equal([(0x40, 0x01), (0x70, 0x10), (0xB0, 0x11)], Standard(bench));
        Assert.Equal(0u, bench.Read(0xC4, 4));
        bench.Write(0xC4, 4, 7);
        Assert.DoesNotContain(bench.Device.ConfigWrites, w => w.Offset is >= 0xC0 and < 0xD0);
    }

    [Fact]
    public void SrIov_and_Ari_of_an_assigned_function_are_hidden_and_the_extended_chain_goes_on()
    {
        using Bench bench = Bench.Nvme();
        Assert.Equal([(0x100, 0x0001), (0x148, 0x0003), (0x1B0, 0x0018)], Extended(bench));
        Assert.Equal(0u, bench.Read(0x168, 4));
    }

    [Fact]
    public void A_hidden_capability_at_0x100_leaves_an_empty_header_that_carries_the_chain()
    {
        using Bench bench = new(SampleConfig.Nvme(), new AssignedOptions("dev") { HiddenExtendedCapabilities = [0x0001] });
        Assert.Equal([(0x100, 0x0000), (0x148, 0x0003), (0x1B0, 0x0018)], Extended(bench));
    }

    [Fact]
    public void Vendor_specific_registers_are_read_from_and_written_to_the_device()
    {
        using Bench bench = Bench.Nvme();
        Assert.Equal(0x1122_3344u, bench.Read(0xC4, 4));
        bench.Device.Config[0xC4] = 0x99;
        Assert.Equal(0x99u, bench.Read(0xC4, 1));
        bench.Write(0xC6, 2, 0xBEEF);
        Assert.Contains(bench.Device.ConfigWrites, w => w.Offset == 0xC6 && w.Bytes.SequenceEqual(new byte[] { 0xEF, 0xBE }));
    }

    [Fact]
    public void A_register_of_the_device_is_read_once_whatever_the_guest_writes_meanwhile()
    {
        using Bench bench = Bench.Nvme();
        int reads = 0;
        bench.Read(0, 4);

        // The lock may be taken again by the thread that has it, so a write can come within the read on one thread; to the hierarchy it is another's.
        bench.Device.OnRead = (_, offset) =>
        {
            reads += offset == 0xC4 ? 1 : 0;
            bench.Write(PciRegisters.InterruptLine, 1, 5);
        };
        Assert.Equal(0x1122_3344u, bench.Read(0xC4, 4));
        Assert.Equal(1, reads);
    }

    [Fact]
    public void Extended_registers_are_read_from_the_device()
    {
        using Bench bench = Bench.Nvme();
        Assert.Equal(0xAABB_CCDDu, bench.Read(0x14C, 4));
    }

    [Fact]
    public void The_header_of_a_forwarded_capability_is_never_written_to_the_device()
    {
        using Bench bench = Bench.Nvme();
        bench.Write(0xC0, 4, 0xFFFF_FFFF);
        Assert.DoesNotContain(bench.Device.ConfigWrites, w => w.Offset < 0xC2 && w.Offset + (ulong)w.Bytes.Length > 0xC0);
        Assert.Equal(0x09u, bench.Read(0xC0, 1));
    }

    [Fact]
    public void A_read_leaves_the_function_and_the_device_as_they_are()
    {
        using Bench bench = Bench.Nvme();
        int before = bench.Log.Count;
        for (int offset = 0; offset < 4096; offset++)
        {
            Assert.Equal(bench.Read(offset, 4), bench.Read(offset, 4));
        }

        Assert.Equal(before, bench.Log.Count);
    }

    [Fact]
    public void Registers_outside_every_capability_are_the_devices()
    {
        FakeDevice device = SampleConfig.Nvme();
        device.Config[0xF4] = 0x12;
        device.Config[0x1A8] = 0x34;
        using Bench bench = new(device);
        Assert.Equal(0x12u, bench.Read(0xF4, 1));
        Assert.Equal(0x34u, bench.Read(0x1A8, 4));
        bench.Write(0x1A8, 1, 0x56);
        Assert.Equal(0x56, device.Config[0x1A8]);
    }

    [Fact]
    public void Below_a_port_the_function_is_an_endpoint_with_the_devices_link()
    {
        using Bench bench = Bench.Nvme();
        Assert.Equal(0u, bench.Read(0x72, 2) >> 4 & 0xF);
        Assert.Equal(0x0043_7443u, bench.Read(0x7C, 4));
        Assert.Equal(0x1043u, bench.Read(0x82, 2));
    }

    [Fact]
    public void On_the_root_bus_the_function_is_integrated_and_has_no_link()
    {
        using Bench bench = new(SampleConfig.Nvme(), belowPort: false);
        Assert.Equal(9u, bench.Read(0x72, 2) >> 4 & 0xF);
        Assert.Equal(0u, bench.Read(0x7C, 4));
        Assert.Equal(0u, bench.Read(0x80, 4));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Function_level_reset_is_offered_exactly_when_the_host_can_reset(bool canReset)
    {
        FakeDevice device = SampleConfig.Nvme();
        device.CanReset = canReset;
        using Bench bench = new(device);
        Assert.Equal(canReset, (bench.Read(0x74, 4) >> 28 & 1) != 0);
    }

    [Fact]
    public void Device_control_reaches_the_device_without_payload_size_and_reset()
    {
        using Bench bench = Bench.Nvme();
        bench.Write(0x78, 2, 0x505F);
        Assert.Equal(0x505Fu, bench.Read(0x78, 2));
        Assert.Equal(0x501F, bench.Device.Config[0x78] | bench.Device.Config[0x79] << 8);
        bench.Write(0x78, 2, 0xD05F);
        Assert.DoesNotContain(bench.Device.ConfigWrites, w => w.Offset == 0x78 && (w.Bytes[1] & 0x80) != 0);
        Assert.Contains("reset", bench.Log);
    }

    [Fact]
    public void Link_control_is_the_virtual_machines_alone()
    {
        using Bench bench = Bench.Nvme();
        bench.Write(0x80, 2, 0x0043);
        Assert.Equal(0x0043u, bench.Read(0x80, 2));
        Assert.DoesNotContain(bench.Device.ConfigWrites, w => w.Offset == 0x80);
    }

    [Fact]
    public void Resizable_bar_shows_its_current_size_and_no_other()
    {
        SampleConfig config = SampleConfig.Header(0x1002, 0x73BF, 0x030000)
            .Put32(0x10, 0xC)
            .ChainExtended((0x100, 0x0015), (0x140, 0x0024))
            .Put32(0x104, 0x0003_F000).Put32(0x108, 0x0821);
        using Bench bench = new(FakeDevice.With(config.Bytes).AddRegion(0, 256 << 20));
        Assert.Equal(1u << 12, bench.Read(0x104, 4));
        Assert.Equal(0x0821u, bench.Read(0x108, 4));
        bench.Write(0x108, 4, 0x0A21);
        Assert.Equal(0x0821u, bench.Read(0x108, 4));
        Assert.DoesNotContain(bench.Device.ConfigWrites, w => w.Offset >= 0x100);
        Assert.Equal([(0x100, 0x0015)], Extended(bench));
    }

    [Fact]
    public void MsiX_whose_table_lies_outside_its_bar_is_hidden_with_a_note()
    {
        FakeDevice device = SampleConfig.Nvme(vectors: 513);
        using Bench bench = new(device);
        Assert.Null(bench.Function.Find<MsixCapability>());
        Assert.Contains(bench.Function.Notes, n => n.Contains("0x11", StringComparison.Ordinal));
    }

    [Fact]
    public void A_capability_list_that_loops_ends_where_it_would_begin_again()
    {
        FakeDevice device = SampleConfig.Nvme();
        device.Config[0xC1] = 0x40;
        device.Config[0x1B2] = 0x01;
        device.Config[0x1B3] = 0x10;
        using Bench bench = new(device);
        Assert.Equal(5, Standard(bench).Count);
        Assert.Equal(3, Extended(bench).Count);
    }

    [Fact]
    public void A_bridge_cannot_be_assigned()
    {
        FakeDevice device = SampleConfig.Nvme();
        device.Config[0x0E] = 1;
        ApertureException e =
            Assert.Throws<ApertureException>(() => new AssignedFunction(device, new AssignedOptions("dev"), new FakeGuest(), new RecordingEvents()));
        Assert.Contains("bridge", e.Message, StringComparison.Ordinal);
        Assert.False(device.IsDisposed);
    }

    [Fact]
    public void A_device_that_does_not_answer_is_refused_with_its_errno()
    {
        FakeDevice device = SampleConfig.Nvme();
        device.ReadErrno = 5;
        ApertureException e =
            Assert.Throws<ApertureException>(() => new AssignedFunction(device, new AssignedOptions("dev"), new FakeGuest(), new RecordingEvents()));
        Assert.Contains("EIO", e.Message, StringComparison.Ordinal);
    }

    internal static List<(int Offset, int Id)> Standard(Bench bench)
    {
        List<(int, int)> found = [];
        for (uint at = bench.Read(0x34, 1); at != 0; at = bench.Read((int)at + 1, 1))
        {
            found.Add(((int)at, (int)bench.Read((int)at, 1)));
            Assert.True(found.Count <= 48, "the list does not end");
        }

        return found;
    }

    internal static List<(int Offset, int Id)> Extended(Bench bench)
    {
        List<(int, int)> found = [];
        int at = 0x100;
        while (at != 0 && bench.Read(at, 4) is var header and not (0 or uint.MaxValue))
        {
            found.Add((at, (int)(header & 0xFFFF)));
            at = (int)(header >> 20);
            Assert.True(found.Count <= 960, "the list does not end");
        }

        return found;
    }
}
