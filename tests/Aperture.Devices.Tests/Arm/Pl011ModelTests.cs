using Aperture.Devices.Arm;
using Aperture.Devices.Tests.Fakes;
using Aperture.TestKit.Devices;
using FsCheck;
using FsCheck.Fluent;

namespace Aperture.Devices.Tests.Arm;

public class Pl011ModelTests
{
    private enum Step
    {
        Receive,
        Break,
        Read,
        Write,
    }

    private static Gen<(Step Step, uint Register, uint Value)> Steps { get; } =
        from step in Gen.Frequency((4, Gen.Constant(Step.Receive)), (1, Gen.Constant(Step.Break)), (6, Gen.Constant(Step.Read)), (5, Gen.Constant(Step.Write)))
        from register in Gen.Frequency(
            (5, Gen.Constant(0x00u)), (1, Gen.Constant(0x04u)), (2, Gen.Constant(0x18u)), (1, Gen.Elements(0x24u, 0x28u, 0x20u, 0x48u)),
            (1, Gen.Constant(0x2Cu)), (3, Gen.Constant(0x30u)), (1, Gen.Constant(0x34u)), (2, Gen.Constant(0x38u)), (2, Gen.Elements(0x3Cu, 0x40u)),
            (2, Gen.Constant(0x44u)), (1, Gen.Elements(0x08u, 0x4Cu, 0x800u, 0xFE0u)))
        from value in Gen.Frequency(
            (2, Gen.Choose(0, 0xFFFF)), (2, Gen.Elements(0x301, 0x381, 0x70, 0x10, 0x7FF, 0x50, 0x00, 0x01)))
        select (step, register, (uint)value);

    [Fact]
    public void Random_traffic_keeps_the_UART_equal_to_a_model_written_from_the_manual() =>
        Prop.ForAll(Steps.ListOf(120).ToArbitrary(), steps =>
        {
            FakeLine line = new();
            RecordingBackend output = new();
            Pl011 uart = new(line, output);
            Model model = new();
            foreach ((Step step, uint register, uint value) in steps)
            {
                switch (step)
                {
                    case Step.Receive:
                        byte[] bytes = [.. Enumerable.Repeat((byte)value, (int)(value % 6) + 1)];
                        Assert.Equal(model.Receive(bytes, false), uart.Receive(bytes));
                        break;
                    case Step.Break:
                        Assert.Equal(model.Receive([0], true) == 1, uart.ReceiveBreak());
                        break;
                    case Step.Read:
                        Assert.Equal((register, model.Read(register)), (register, uart.In32(register)));
                        break;
                    default:
                        model.Write(register, value);
                        uart.Out32(register, value);
                        break;
                }

                Assert.Equal(model.Line, line.Level);
            }

            Assert.Equal(model.Sent, output.Bytes);
        }).Holds(400);

    // A list of facts; each register is worked out from them when it is asked for.
    private sealed class Model
    {
        private static readonly int[] Levels = [2, 4, 8, 12, 14, 14, 14, 14];
        private readonly Queue<(byte Value, bool Break)> _queue = [];
        private readonly Dictionary<uint, uint> _kept = new() { [0x30] = 0x300, [0x34] = 0x12 };
        private readonly HashSet<int> _interrupts = [];
        private uint _status;
        private bool _overrun;

        public List<byte> Sent { get; } = [];

        public bool Line => (Pending & Kept(0x38)) != 0;

        private uint Pending => _interrupts.Aggregate(0u, (all, bit) => all | 1u << bit);

        private bool Loop => (Kept(0x30) & 0x80) != 0;

        private bool Fifos => (Kept(0x2C) & 0x10) != 0;

        private int Room => (Fifos ? 16 : 1) - _queue.Count;

        private int Trigger => Fifos ? Levels[Kept(0x34) >> 3 & 7] : 1;

        public int Receive(byte[] bytes, bool isBreak)
        {
            int taken = (Kept(0x30) & 0x201) == 0x201 && !Loop ? Math.Min(Room, bytes.Length) : 0;
            foreach (byte value in bytes.Take(taken))
            {
                Arrive(value, isBreak);
            }

            return taken;
        }

        public uint Read(uint register)
        {
            switch (register)
            {
                case 0x00:
                    return Pop();
                case 0x04:
                    return _status;
                case 0x18:
                    return Inputs | 0x80 | (_queue.Count == 0 ? 0x10u : 0) | (Room <= 0 ? 0x40u : 0);
                case 0x3C:
                    return Pending;
                case 0x40:
                    return Pending & Kept(0x38);
                case 0xFE0:
                    return 0x11;
                default:
                    return Kept(register);
            }
        }

        public void Write(uint register, uint value)
        {
            uint mask = register switch
            {
                0x20 or 0x2C => 0xFF,
                0x24 => 0xFFFF,
                0x28 => 0x3F,
                0x30 => 0xFF87,
                0x34 => 0x3F,
                0x38 => 0x7FF,
                0x48 => 7,
                _ => 0u,
            };
            switch (register)
            {
                case 0x00 when Loop:
                    _interrupts.Add(5);
                    LoopBack((byte)value, false);
                    break;
                case 0x00:
                    _interrupts.Add(5);
                    Sent.Add((byte)value);
                    break;
                case 0x04:
                    _status = 0;
                    break;
                case 0x44:
                    _interrupts.RemoveWhere(bit => (value >> bit & 1) != 0);
                    break;
                case 0x2C:
                    if (((value ^ Kept(0x2C)) & 0x10) != 0)
                    {
                        _queue.Clear();
                        _interrupts.ExceptWith([4, 6]);
                    }

                    bool begins = Loop && (value & 1) != 0 && (Kept(0x2C) & 1) == 0;
                    _kept[0x2C] = value & mask;
                    if (begins)
                    {
                        LoopBack(0, true);
                    }

                    break;
                case 0x30:
                    uint before = Inputs;
                    _kept[0x30] = value & mask;
                    foreach ((uint flag, int interrupt) in (ReadOnlySpan<(uint, int)>)[(1, 1), (2, 3), (4, 2), (0x100, 0)])
                    {
                        if (((before ^ Inputs) & flag) != 0)
                        {
                            _interrupts.Add(interrupt);
                        }
                    }

                    break;
                default:
                    if (mask != 0)
                    {
                        _kept[register] = value & mask;
                    }

                    break;
            }
        }

        private uint Inputs => !Loop ? 7u
            : (Kept(0x30) >> 11 & 1) | (Kept(0x30) >> 10 & 1) << 1 | (Kept(0x30) >> 12 & 1) << 2 | (Kept(0x30) >> 13 & 1) << 8;

        private uint Kept(uint register) => _kept.GetValueOrDefault(register);

        private void LoopBack(byte value, bool isBreak)
        {
            if (Room > 0)
            {
                Arrive(value, isBreak);
                return;
            }

            _overrun = true;
            _interrupts.Add(10);
        }

        private void Arrive(byte value, bool isBreak)
        {
            _queue.Enqueue((value, isBreak));
            _interrupts.Add(_queue.Count >= Trigger ? 4 : 6);
            if (isBreak)
            {
                _interrupts.Add(9);
            }
        }

        private uint Pop()
        {
            bool was = _queue.Count >= Trigger;
            uint value = _overrun ? 0x800u : 0;
            if (_queue.TryDequeue(out (byte Value, bool Break) top))
            {
                value |= top.Value | (top.Break ? 0x400u : 0);
            }

            _overrun = false;
            _status = value >> 8;
            bool isAtLevel = _queue.Count >= Trigger;
            if (!isAtLevel)
            {
                _interrupts.Remove(4);
            }

            if (_queue.Count == 0)
            {
                _interrupts.Remove(6);
            }
            else if (was && !isAtLevel)
            {
                _interrupts.Add(6);
            }

            return value;
        }
    }
}
