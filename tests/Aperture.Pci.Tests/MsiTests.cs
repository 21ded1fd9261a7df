using Aperture.Pci.Capabilities;
using Aperture.Pci.Ports;
using Aperture.Pci.Registers;
using FsCheck;
using FsCheck.Fluent;

namespace Aperture.Pci.Tests;

public class MsiTests
{
    private sealed record Step(int Kind, uint Value);

    private static Gen<Step> Steps { get; } =
        from kind in Gen.Elements(0, 0, 0, 1, 2, 3)
        from value in Gen.Choose(0, 0x7FFF)
        select new Step(kind, (uint)value);

    private readonly RecordingMsiSink _sink = new();
    private readonly PciFunction _function = Build.Function();

    private MsiCapability Add(MsiCapability msi)
    {
        _function.MsiSink = _sink;
        _function.AddCapability(msi);
        return msi;
    }

    [Theory]
    [InlineData(false, false, 0x0A)]
    [InlineData(true, false, 0x0E)]
    [InlineData(false, true, 0x14)]
    [InlineData(true, true, 0x18)]
    public void Length_and_layout_follow_from_address_width_and_masking(bool is64Bit, bool isMaskable, int length)
    {
        MsiCapability msi = Add(new MsiCapability(8, is64Bit, isMaskable));
        Assert.Equal(length, msi.Length);
        Build.Enable(_function);
        _function.WriteConfig(msi.Offset + 4, 4, 0xFEE0_2003);
        if (is64Bit)
        {
            _function.WriteConfig(msi.Offset + 8, 4, 1);
        }

        int data = msi.Offset + (is64Bit ? 12 : 8);
        _function.WriteConfig(data, 4, 0xABCD_41EF);
        Assert.Equal(0x41EFu, _function.ReadConfig(data, 2));
        _function.WriteConfig(msi.Offset + 2, 2, 0xFFFF & 0x0031);
        Assert.Equal(0x0036u | (is64Bit ? 0x80u : 0) | (isMaskable ? 0x100u : 0) | 1, _function.ReadConfig(msi.Offset + 2, 2));
        Assert.True(msi.Trigger(5));
        Assert.Equal(new MsiMessage(Build.At(is64Bit ? 0x1_FEE0_2000u : 0xFEE0_2000u), 0x41E8 | 5), Assert.Single(_sink.Sent).Message);
    }

    [Fact]
    public void Vectors_above_the_allocated_ones_fold_and_vectors_that_do_not_exist_do_nothing()
    {
        MsiCapability msi = Add(new MsiCapability(16));
        Build.Enable(_function);
        _function.WriteConfig(msi.Offset + 12, 2, 0x40);
        _function.WriteConfig(msi.Offset + 2, 2, 0x0011);
        Assert.Equal(2, msi.AllocatedVectors);
        msi.Trigger(13);
        Assert.Equal(0x41u, Assert.Single(_sink.Sent).Message.Data);
        Assert.False(msi.Trigger(16));
        Assert.False(msi.Trigger(-1));
        _function.WriteConfig(msi.Offset + 2, 2, 0x0071);
        Assert.Equal(16, msi.AllocatedVectors);
    }

    [Fact]
    public void A_masked_vector_stays_pending_in_its_register_and_goes_out_when_unmasked()
    {
        MsiCapability msi = Add(new MsiCapability(4));
        Build.Enable(_function);
        _function.WriteConfig(msi.Offset + 2, 2, 0x0021);
        _function.WriteConfig(msi.Offset + 16, 4, uint.MaxValue);
        Assert.Equal(0xFu, _function.ReadConfig(msi.Offset + 16, 4));
        msi.Trigger(2);
        Assert.Equal(4u, _function.ReadConfig(msi.Offset + 20, 4));
        _function.WriteConfig(msi.Offset + 20, 4, 0);
        Assert.Equal(4u, _function.ReadConfig(msi.Offset + 20, 4));
        Assert.Empty(_sink.Sent);
        Assert.Equal(ConfigChange.Interrupts, _function.WriteConfig(msi.Offset + 16, 1, 0xB));
        Assert.Single(_sink.Sent);
        Assert.Equal(0u, _function.ReadConfig(msi.Offset + 20, 4));
    }

    [Fact]
    public void Without_bus_master_no_message_leaves_until_it_is_on_again()
    {
        MsiCapability msi = Add(new MsiCapability(1, isMaskable: false));
        _function.WriteConfig(msi.Offset + 2, 2, 1);
        Assert.False(msi.Trigger(0));
        Assert.Equal(1u, msi.Pending);
        Assert.Empty(_sink.Sent);
        Build.Enable(_function);
        Assert.Single(_sink.Sent);
        Assert.Equal(0u, msi.Pending);
    }

    [Fact]
    public void Messages_go_to_the_hierarchys_sink_with_the_routing_id_of_now()
    {
        PciHierarchy hierarchy = new(null, _sink);
        RootPort port = new("port", 1);
        hierarchy.Root.Add(8, port);
        MsiCapability msi = new(1);
        _function.AddCapability(msi);
        port.Secondary.Add(2, _function);
        port.ProgramBusNumbers(0, 0x33, 0x33);
        Build.Enable(_function);
        _function.WriteConfig(msi.Offset + 2, 2, 1);
        msi.Trigger(0);
        Assert.Equal(new Bdf(0x33, 0, 2), Assert.Single(_sink.Sent).Requester);
    }

    [Fact]
    public void Any_order_of_masks_allocation_and_triggers_agrees_with_the_model()
    {
        int sent = 0;
        Prop.ForAll(Steps.ListOf(40).ToArbitrary(), steps =>
        {
            MsiTests bench = new();
            MsiCapability msi = bench.Add(new MsiCapability(8));
            HashSet<int> pending = [];
            List<uint> expected = [];
            (bool enabled, int allocated, uint mask, bool master) = (false, 1, 0, false);
            foreach (Step step in steps)
            {
                switch (step.Kind)
                {
                    case 0:
                        msi.Trigger((int)(step.Value & 7));
                        pending.Add((int)(step.Value & 7));
                        break;
                    case 1:
                        bench._function.WriteConfig(msi.Offset + 16, 4, step.Value);
                        mask = step.Value & 0xFF;
                        break;
                    case 2:
                        bench._function.WriteConfig(msi.Offset + 2, 2, step.Value & 0x31);
                        (enabled, allocated) = ((step.Value & 1) != 0, 1 << (int)(step.Value >> 4 & 3));
                        break;
                    default:
                        bench._function.WriteConfig(PciRegisters.Command, 2, step.Value & 4);
                        master = (step.Value & 4) != 0;
                        break;
                }

                pending = [.. pending.Select(vector => vector % allocated)];
                foreach (int vector in pending.Order().ToList())
                {
                    if (enabled && master && (mask >> vector & 1) == 0)
                    {
                        pending.Remove(vector);
                        expected.Add((uint)vector);
                    }
                }

                Assert.Equal(expected, bench._sink.Sent.Select(s => s.Message.Data));
                Assert.Equal(pending.Order(), Enumerable.Range(0, 8).Where(vector => (msi.Pending >> vector & 1) != 0));
            }

            sent += expected.Count;
        }).Holds();
        Assert.True(sent > 100, $"only {sent} messages were sent");
    }

    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    [InlineData(64)]
    public void Msi_has_a_power_of_two_up_to_32_vectors(int vectors) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => new MsiCapability(vectors));
}
