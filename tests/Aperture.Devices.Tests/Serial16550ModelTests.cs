using Aperture.Devices.Serial;
using Aperture.Devices.Tests.Fakes;
using Aperture.TestKit.Devices;
using FsCheck;
using FsCheck.Fluent;

namespace Aperture.Devices.Tests;

public class Serial16550ModelTests
{
    private enum Step
    {
        Receive,
        Break,
        Read,
        Write,
    }

    // Registers weighted to those with behaviour; values to those that keep the chip in interesting states.
    private static Gen<(Step Step, int Register, byte Value)> Steps { get; } =
        from step in Gen.Frequency((4, Gen.Constant(Step.Receive)), (1, Gen.Constant(Step.Break)), (6, Gen.Constant(Step.Read)), (5, Gen.Constant(Step.Write)))
        from register in Gen.Frequency((4, Gen.Constant(0)), (2, Gen.Constant(1)), (2, Gen.Constant(2)), (1, Gen.Constant(3)), (2, Gen.Constant(4)),
            (2, Gen.Constant(5)), (1, Gen.Constant(6)))
        from value in Gen.Frequency((3, Gen.Choose(0, 255)), (1, Gen.Elements(0x01, 0x08, 0x0F, 0x18, 0xC1, 0x41, 0x03)))
        select (step, register, (byte)value);

    [Fact]
    public void Random_traffic_keeps_the_UART_equal_to_a_model_written_from_the_data_sheet()
    {
        Prop.ForAll(Steps.ListOf(120).ToArbitrary(), steps =>
        {
            FakeLine line = new();
            RecordingBackend output = new();
            Serial16550 uart = new(line, output);
            Model model = new();
            foreach ((Step step, int register, byte value) in steps)
            {
                switch (step)
                {
                    case Step.Receive:
                        byte[] bytes = [.. Enumerable.Repeat(value, (value % 6) + 1)];
                        Assert.Equal(model.Receive(bytes, false), uart.Receive(bytes));
                        break;
                    case Step.Break:
                        Assert.Equal(model.Receive([0], true) == 1, uart.ReceiveBreak());
                        break;
                    case Step.Read:
                        Assert.Equal(model.Read(register), uart.In((ulong)register));
                        break;
                    default:
                        model.Write(register, value);
                        uart.Out((ulong)register, value);
                        break;
                }

                Assert.Equal(model.Line, line.Level);
            }

            Assert.Equal(model.Sent, output.Bytes);
        }).Holds(300);
    }

    // Keeps facts (queue, latched errors, deltas) and derives every register from them when asked.
    private sealed class Model
    {
        private readonly List<(byte Value, bool Break)> _queue = [];
        private byte _ier;
        private byte _fcr;
        private byte _lcr;
        private byte _mcr;
        private int _divisor = 12;
        private bool _overrun;
        private bool _breakSeen;
        private bool _thre;
        private bool _deltaCts;
        private bool _deltaDsr;
        private bool _ringEnd;
        private bool _deltaCarrier;

        public List<byte> Sent { get; } = [];

        public bool Line => (_mcr & 0x18) == 0x08 && Source() != 1;

        private bool Fifo => (_fcr & 1) != 0;

        private bool Looped => (_mcr & 0x10) != 0;

        private bool LatchOpen => (_lcr & 0x80) != 0;

        public int Receive(byte[] bytes, bool isBreak)
        {
            int room = Looped ? 0 : (Fifo ? 16 : 1) - _queue.Count;
            int taken = Math.Min(Math.Max(room, 0), bytes.Length);
            for (int i = 0; i < taken; i++)
            {
                _queue.Add((bytes[i], isBreak));
            }

            SeeTop();
            return taken;
        }

        public byte Read(int register)
        {
            switch (register)
            {
                case 0 when LatchOpen:
                    return (byte)(_divisor % 256);
                case 0:
                    byte value = _queue.Count == 0 ? (byte)0 : _queue[0].Value;
                    _queue.RemoveRange(0, Math.Min(1, _queue.Count));
                    SeeTop();
                    return value;
                case 1:
                    return LatchOpen ? (byte)(_divisor / 256) : _ier;
                case 2:
                    byte source = Source();
                    _thre &= source != 2;
                    return (byte)(source + (Fifo ? 0xC0 : 0));
                case 3:
                    return _lcr;
                case 4:
                    return _mcr;
                case 5:
                    int status = 0x60 + (_queue.Count > 0 ? 1 : 0) + (_overrun ? 2 : 0) + (_breakSeen ? 16 : 0);
                    status += Fifo && (_breakSeen || _queue.Any(entry => entry.Break)) ? 128 : 0;
                    (_overrun, _breakSeen) = (false, false);
                    return (byte)status;
                default:
                    (bool cts, bool dsr, bool ring, bool carrier) = Inputs();
                    int modem = (_deltaCts ? 1 : 0) + (_deltaDsr ? 2 : 0) + (_ringEnd ? 4 : 0) + (_deltaCarrier ? 8 : 0);
                    modem += (cts ? 16 : 0) + (dsr ? 32 : 0) + (ring ? 64 : 0) + (carrier ? 128 : 0);
                    (_deltaCts, _deltaDsr, _ringEnd, _deltaCarrier) = (false, false, false, false);
                    return (byte)modem;
            }
        }

        public void Write(int register, byte value)
        {
            switch (register)
            {
                case 0 when LatchOpen:
                    _divisor = (_divisor / 256 * 256) + value;
                    break;
                case 0 when Looped:
                    _thre = true;
                    Return(value, false);
                    break;
                case 0:
                    _thre = true;
                    Sent.Add(value);
                    break;
                case 1 when LatchOpen:
                    _divisor = (_divisor % 256) + (256 * value);
                    break;
                case 1:
                    _thre |= (value & 2) > (_ier & 2);
                    _ier = (byte)(value % 16);
                    break;
                case 2:
                    bool toggled = Fifo != ((value & 1) == 1);
                    if (toggled || (value & 3) == 3)
                    {
                        _queue.Clear();
                    }

                    _fcr = (value & 1) == 1 ? value : (byte)0;
                    break;
                case 3:
                    bool breakStarts = (value & 0x40) > (_lcr & 0x40);
                    _lcr = value;
                    if (breakStarts && Looped)
                    {
                        Return(0, true);
                    }

                    break;
                case 4:
                    (bool cts, bool dsr, bool ring, bool carrier) = Inputs();
                    _mcr = (byte)(value % 32);
                    (bool newCts, bool newDsr, bool newRing, bool newCarrier) = Inputs();
                    _deltaCts |= cts != newCts;
                    _deltaDsr |= dsr != newDsr;
                    _ringEnd |= ring && !newRing;
                    _deltaCarrier |= carrier != newCarrier;
                    break;
                default:
                    break;
            }
        }

        private (bool Cts, bool Dsr, bool Ring, bool Carrier) Inputs() => Looped
            ? ((_mcr & 2) != 0, (_mcr & 1) != 0, (_mcr & 4) != 0, (_mcr & 8) != 0)
            : (true, true, false, true);

        private void Return(byte value, bool isBreak)
        {
            int capacity = Fifo ? 16 : 1;
            bool full = _queue.Count >= capacity;
            _overrun |= full;
            if (full && !Fifo)
            {
                _queue.Clear();
            }

            if (!full || !Fifo)
            {
                _queue.Add((value, isBreak));
            }

            SeeTop();
        }

        private void SeeTop()
        {
            if (_queue.Count > 0 && _queue[0].Break)
            {
                _breakSeen = true;
                _queue[0] = (_queue[0].Value, false);
            }
        }

        private byte Source()
        {
            int[] triggers = [1, 4, 8, 14];
            bool reached = !Fifo || _queue.Count >= triggers[_fcr >> 6];
            (bool Pending, byte Code)[] sources =
            [
                ((_ier & 4) != 0 && (_overrun || _breakSeen), 6),
                ((_ier & 1) != 0 && _queue.Count > 0 && reached, 4),
                ((_ier & 1) != 0 && _queue.Count > 0, 12),
                ((_ier & 2) != 0 && _thre, 2),
                ((_ier & 8) != 0 && (_deltaCts || _deltaDsr || _ringEnd || _deltaCarrier), 0),
                (true, 1),
            ];
            return sources.First(source => source.Pending).Code;
        }
    }
}
