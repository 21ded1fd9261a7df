using Aperture.Devices.Arm;
using Aperture.TestKit.Devices;
using FsCheck;
using FsCheck.Fluent;

namespace Aperture.Devices.Tests.Arm;

public class Pl061Tests
{
    private readonly FakeLine _line = new();

    [Fact]
    public void The_address_says_which_lines_an_access_is_about()
    {
        Pl061 gpio = new(_line);
        gpio.Out32(0x400, 0xFF);
        gpio.Out32(0x3FC, 0xA5);
        gpio.Out32(0x0F << 2, 0xFF);
        Assert.Equal(0xAFu, gpio.In32(0x3FC));
        Assert.Equal(0x0Fu, gpio.In32(0x0F << 2));
        Assert.Equal(0u, gpio.In32(0));
        byte[] id = [.. Enumerable.Range(0, 8).Select(i => (byte)gpio.In32(0xFE0 + (4 * (ulong)i)))];
        Assert.Equal([0x61, 0x10, 0x04, 0x00, 0x0D, 0xF0, 0x05, 0xB1], id);
    }

    [Fact]
    public void The_power_key_goes_down_and_up_again_and_both_edges_are_told()
    {
        FakeClock clock = new();
        Pl061 gpio = new(_line);
        using PowerKey key = new(gpio, 3, clock);
        gpio.Out32(0x408, 8);
        gpio.Out32(0x410, 8);
        key.PressOnce();
        Assert.True(_line.Level);
        Assert.Equal(8u, gpio.In32(0x3FC));
        gpio.Out32(0x41C, 8);
        Assert.False(_line.Level);
        clock.Advance(TimeSpan.FromMilliseconds(99));
        Assert.Equal(8u, gpio.In32(8 << 2));
        clock.Advance(TimeSpan.FromMilliseconds(1));
        Assert.True(_line.Level);
        Assert.Equal(0u, gpio.In32(8 << 2));
    }

    /// <summary>Each line by itself, as the manual says it of one.</summary>
    [Fact]
    public void Every_line_is_a_line_of_its_own()
    {
        Gen<(int Kind, int Line, byte Value)> steps =
            from kind in Gen.Choose(0, 8)
            from line in Gen.Choose(0, 7)
            from value in Gen.Choose(0, 255)
            select (kind, line, (byte)value);
        Prop.ForAll(steps.ListOf(60).ToArbitrary(), list =>
        {
            FakeLine output = new();
            Pl061 gpio = new(output);
            OneLine[] lines = [.. Enumerable.Range(0, 8).Select(_ => new OneLine())];
            foreach ((int kind, int line, byte value) in list)
            {
                if (kind == 0)
                {
                    gpio.SetInput(line, value > 127);
                    lines[line].Change(l => l.Input = value > 127);
                }
                else if (kind == 1)
                {
                    byte about = (byte)(value ^ 0x5A);
                    gpio.Out32((ulong)about << 2, value);
                    EachOf(lines, (l, bit) => l.Output = (about >> bit & 1) != 0 ? (value >> bit & 1) != 0 : l.Output);
                }
                else
                {
                    uint register = 0x400 + (4 * ((uint)kind - 2));
                    gpio.Out32(register, value);
                    EachOf(lines, (l, bit) => l.Set(register, (value >> bit & 1) != 0));
                }

                Assert.Equal(Bits(lines, l => l.Level), gpio.In32(0x3FC));
                Assert.Equal(Bits(lines, l => l.Raw), gpio.In32(0x414));
                Assert.Equal(Bits(lines, l => l.Raw && l.Mask), gpio.In32(0x418));
                Assert.Equal(lines.Any(l => l.Raw && l.Mask), output.Level);
            }
        }).Holds(300);
    }

    private static void EachOf(OneLine[] lines, Action<OneLine, int> change)
    {
        foreach ((int bit, OneLine line) in lines.Index())
        {
            line.Change(l => change(l, bit));
        }
    }

    private static uint Bits(OneLine[] lines, Func<OneLine, bool> of) => lines.Index().Aggregate(0u, (all, l) => all | (of(l.Item) ? 1u << l.Index : 0));

    private sealed class OneLine
    {
        private bool _isOutput;
        private bool _byLevel;
        private bool _both;
        private bool _high;
        private bool _edge;

        public bool Input { get; set; }

        public bool Output { get; set; }

        public bool Mask { get; private set; }

        public bool Level => _isOutput ? Output : Input;

        public bool Raw => _byLevel ? Level == _high : _edge;

        public void Set(uint register, bool on)
        {
            switch (register)
            {
                case 0x400:
                    _isOutput = on;
                    break;
                case 0x404:
                    _byLevel = on;
                    break;
                case 0x408:
                    _both = on;
                    break;
                case 0x40C:
                    _high = on;
                    break;
                case 0x410:
                    Mask = on;
                    break;
                case 0x41C when on:
                    _edge = false;
                    break;
                default:
                    break;
            }
        }

        public void Change(Action<OneLine> change)
        {
            bool before = Level;
            change(this);
            _edge |= !_byLevel && before != Level && (_both || Level == _high);
        }
    }
}
