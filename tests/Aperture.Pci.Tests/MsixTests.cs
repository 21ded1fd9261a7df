using Aperture.Pci.Capabilities;
using Aperture.Pci.Registers;
using FsCheck;
using FsCheck.Fluent;

namespace Aperture.Pci.Tests;

public class MsixTests
{
    private const int Vectors = 70;

    private enum Action
    {
        Trigger,
        Mask,
        Unmask,
        SetData,
        Control,
        BusMaster,
        Power,
    }

    private sealed record Step(Action Action, int Vector, uint Value);

    private static Gen<Step> Steps { get; } =
        from action in Gen.Frequency(
            (6, Gen.Constant(Action.Trigger)),
            (3, Gen.Constant(Action.Unmask)),
            (2, Gen.Constant(Action.Mask)),
            (1, Gen.Constant(Action.SetData)),
            (3, Gen.Constant(Action.Control)),
            (1, Gen.Constant(Action.BusMaster)),
            (1, Gen.Constant(Action.Power)))
        from vector in Gen.Elements(0, 1, 2, 63, 64, 69, 70, -1)
        from value in Gen.Choose(0, 7)
        select new Step(action, vector, (uint)value);

    private readonly RecordingMsiSink _sink = new();
    private readonly PciFunction _function = Build.Function();
    private readonly MsixCapability _msix = new(Vectors, 2, 0x1000, 2, 0x2000);
    private readonly PowerManagementCapability _power = new();

    public MsixTests()
    {
        _function.MsiSink = _sink;
        _function.AddCapability(_msix);
        _function.AddCapability(_power);
    }

    private void Control(uint bits) => _function.WriteConfig(_msix.Offset + 2, 2, bits << 14);

    private void Program(int vector, uint data, bool masked = false)
    {
        ulong entry = (ulong)vector * 16;
        _msix.Table.Write(entry, 8, 0xFEE0_1000);
        _msix.Table.Write(entry + 8, 8, data | (masked ? 1UL << 32 : 0));
    }

    [Fact]
    public void The_capability_says_table_size_and_places()
    {
        Assert.Equal((uint)Vectors - 1, _function.ReadConfig(_msix.Offset + 2, 2));
        Assert.Equal(0x1002u, _function.ReadConfig(_msix.Offset + 4, 4));
        Assert.Equal(0x2002u, _function.ReadConfig(_msix.Offset + 8, 4));
        _function.WriteConfig(_msix.Offset + 2, 2, 0xFFFF);
        Assert.Equal(0xC000u | (Vectors - 1), _function.ReadConfig(_msix.Offset + 2, 2));
    }

    [Fact]
    public void A_vector_that_is_enabled_and_unmasked_sends_its_message_at_once()
    {
        Build.Enable(_function);
        Control(2);
        Program(5, 0x4321);
        Assert.True(_msix.Trigger(5));
        Assert.Equal([(_function.Bdf, new MsiMessage(Build.At(0xFEE0_1000), 0x4321))], _sink.Sent);
        Assert.False(_msix.IsPending(5));
    }

    [Fact]
    public void Every_vector_is_masked_after_reset_and_nothing_is_pending()
    {
        Build.Enable(_function);
        Control(2);
        Program(0, 1);
        _msix.Trigger(3);
        _function.Reset(ResetKind.Conventional);
        Assert.All(Enumerable.Range(0, Vectors), vector => Assert.True(_msix.IsMasked(vector) && !_msix.IsPending(vector)));
        Assert.False(_msix.IsEnabled);
    }

    [Theory]
    [InlineData(0ul, 1)]
    [InlineData(0ul, 2)]
    [InlineData(2ul, 4)]
    [InlineData(4ul, 8)]
    [InlineData(16ul * Vectors, 4)]
    [InlineData((16ul * Vectors) - 4, 8)]
    [InlineData(ulong.MaxValue - 3, 4)]
    public void The_table_takes_only_aligned_accesses_of_4_and_8_bytes_inside_it(ulong offset, int size)
    {
        Assert.Equal(AccessResult.Unclaimed, _msix.Table.Read(offset, size, out ulong value));
        Assert.Equal(AccessWidth.AllOnes(size), value);
        Assert.Equal(AccessResult.Unclaimed, _msix.Table.Write(offset, size, 0));
        Assert.True(_msix.IsMasked(0));
    }

    [Fact]
    public void Of_the_vector_control_only_the_mask_bit_exists_and_the_address_is_a_multiple_of_4()
    {
        _msix.Table.Write(0, 8, ulong.MaxValue);
        _msix.Table.Write(8, 8, ulong.MaxValue);
        _msix.Table.Read(0, 8, out ulong address);
        _msix.Table.Read(8, 8, out ulong rest);
        Assert.Equal(0xFFFF_FFFF_FFFF_FFFCul, address);
        Assert.Equal(0x1_FFFF_FFFFul, rest);
        _msix.Table.Read(4, 4, out ulong upper);
        Assert.Equal(0xFFFF_FFFFul, upper);
    }

    [Fact]
    public void Pending_bits_are_read_only_and_readable_by_4_and_8_bytes()
    {
        _msix.Trigger(33);
        _msix.Trigger(69);
        _msix.PendingBits.Write(0, 8, ulong.MaxValue);
        _msix.PendingBits.Read(0, 8, out ulong first);
        _msix.PendingBits.Read(4, 4, out ulong high);
        _msix.PendingBits.Read(8, 4, out ulong second);
        Assert.Equal((1UL << 33, 2ul, 1UL << 5), (first, high, second));
        Assert.Equal(AccessResult.Unclaimed, _msix.PendingBits.Read(16, 8, out ulong outside));
        Assert.Equal(ulong.MaxValue, outside);
        Assert.Equal(AccessResult.Unclaimed, _msix.PendingBits.Read(0, 2, out _));
        Assert.False(_msix.Trigger(Vectors));
    }

    [Fact]
    public void A_pending_message_goes_out_with_what_the_table_holds_when_it_is_unmasked()
    {
        Build.Enable(_function);
        Control(2);
        Program(1, 7, masked: true);
        Assert.False(_msix.Trigger(1));
        Program(1, 9, masked: true);
        _msix.Table.Write(16 + 12, 4, 0);
        Assert.Equal(9u, Assert.Single(_sink.Sent).Message.Data);
    }

    [Fact]
    public void A_message_raised_in_d3hot_goes_out_on_the_way_back_to_d0()
    {
        Build.Enable(_function);
        Control(2);
        Program(1, 7);
        _function.WriteConfig(_power.Offset + 4, 1, 3);
        Assert.False(_msix.Trigger(1));
        _function.WriteConfig(_power.Offset + 4, 1, 0);
        Assert.Single(_sink.Sent);
    }

    [Fact]
    public void Any_order_of_masking_enabling_and_triggering_agrees_with_the_model()
    {
        int sent = 0;
        Prop.ForAll(Steps.ListOf(50).ToArbitrary(), steps =>
        {
            // Start where most of the rules bite: on, and allowed to send.
            MsixTests bench = new();
            Model model = new();
            Step[] start = [new Step(Action.BusMaster, 0, 4), new Step(Action.Control, 0, 2)];
            foreach (Step step in start)
            {
                bench.Apply(step);
                model.Apply(step);
            }

            foreach (Step step in steps)
            {
                bench.Apply(step);
                model.Apply(step);
                Assert.Equal(model.Sent, bench._sink.Sent.Select(s => s.Message.Data));
                Assert.All(Enumerable.Range(0, Vectors), vector => Assert.Equal(model.Pending.Contains(vector), bench._msix.IsPending(vector)));
            }

            sent += model.Sent.Count;
        }).Holds();
        Assert.True(sent > 100, $"only {sent} messages were sent");
    }

    private void Apply(Step step)
    {
        ulong control = (ulong)(step.Vector * 16) + 12;
        switch (step.Action)
        {
            case Action.Trigger:
                _msix.Trigger(step.Vector);
                break;
            case Action.Mask:
                _msix.Table.Write(control, 4, 0xFFFF_FFFF);
                break;
            case Action.Unmask:
                _msix.Table.Write(control, 4, 0xFFFF_FFFE);
                break;
            case Action.SetData:
                _msix.Table.Write(control - 4, 4, step.Value);
                break;
            case Action.Control:
                Control(step.Value & 3);
                break;
            case Action.BusMaster:
                _function.WriteConfig(PciRegisters.Command, 2, step.Value);
                break;
            default:
                _function.WriteConfig(_power.Offset + 4, 1, step.Value & 3);
                break;
        }
    }

    /// <summary>The rules in sets: what may go, goes, lowest vector first.</summary>
    private sealed class Model
    {
        private readonly HashSet<int> _unmasked = [];
        private readonly Dictionary<int, uint> _data = [];
        private bool _enabled;
        private bool _functionMasked;
        private bool _busMaster;
        private bool _asleep;

        public SortedSet<int> Pending { get; } = [];

        public List<uint> Sent { get; } = [];

        public void Apply(Step step)
        {
            bool exists = step.Vector is >= 0 and < Vectors;
            switch (step.Action)
            {
                case Action.Trigger when exists:
                    Pending.Add(step.Vector);
                    break;
                case Action.Mask when exists:
                    _unmasked.Remove(step.Vector);
                    break;
                case Action.Unmask when exists:
                    _unmasked.Add(step.Vector);
                    break;
                case Action.SetData when exists:
                    _data[step.Vector] = step.Value;
                    break;
                case Action.Control:
                    (_enabled, _functionMasked) = ((step.Value & 2) != 0, (step.Value & 1) != 0);
                    break;
                case Action.BusMaster:
                    _busMaster = (step.Value & 4) != 0;
                    break;
                case Action.Power when (step.Value & 3) is 0 or 3:
                    _asleep = (step.Value & 3) == 3;
                    break;
                default:
                    break;
            }

            if (_enabled && !_functionMasked && _busMaster && !_asleep)
            {
                foreach (int vector in Pending.Where(_unmasked.Contains).ToList())
                {
                    Pending.Remove(vector);
                    Sent.Add(_data.GetValueOrDefault(vector));
                }
            }
        }
    }
}
