using Aperture.Devices.Pc;
using Aperture.TestKit.Devices;

namespace Aperture.Devices.Tests;

public class I8042Tests
{
    private readonly FakeMachine _machine = new();
    private readonly FakeLine _line = new();
    private readonly I8042 _controller;

    public I8042Tests() => _controller = new I8042(_machine, _line);

    private byte Status => _controller.Command.In(0);

    private byte Ask(byte command)
    {
        _controller.Command.Out(0, command);
        Assert.Equal(1, Status & 1);
        return _controller.Data.In(0);
    }

    private void SetMode(byte mode)
    {
        _controller.Command.Out(0, 0x60);
        _controller.Data.Out(0, mode);
    }

    private byte[] Drain()
    {
        List<byte> bytes = [];
        while ((Status & 1) != 0)
        {
            bytes.Add(_controller.Data.In(0));
        }

        return [.. bytes];
    }

    private byte[] Keyboard(params byte[] bytes)
    {
        List<byte> answers = [];
        foreach (byte value in bytes)
        {
            _controller.Data.Out(0, value);
            answers.AddRange(Drain());
        }

        return [.. answers];
    }

    [Fact]
    public void Self_test_and_keyboard_interface_pass_and_the_mouse_interface_fails()
    {
        Assert.Equal(0x55, Ask(0xAA));
        Assert.Equal(0x00, Ask(0xAB));
        Assert.NotEqual(0x00, Ask(0xA9));
        Assert.Equal(0, Status & 1);
    }

    [Fact]
    public void The_keyboard_resets_identifies_and_takes_its_commands()
    {
        Assert.Equal([0xFA, 0xAA], Keyboard(0xFF));
        Assert.Equal([0xFA, 0xAB, 0x83], Keyboard(0xF2));
        Assert.Equal([0xEE], Keyboard(0xEE));
        Assert.Equal([0xFA, 0xFA], Keyboard(0xED, 0x05));
        Assert.Equal(5, _controller.Leds);
        Assert.Equal([0xFA, 0xFA], Keyboard(0xF3, 0x20));
        Assert.Equal([0xFA, 0xFA, 0xFA, 0xFA, 0x01], Keyboard(0xF0, 0x01, 0xF0, 0x00));
        Assert.Equal([0xFA, 0xFE], Keyboard(0xF0, 0x03));
        Assert.Equal([0xFE], Keyboard(0x12));
        Assert.Equal([0xFA], Keyboard(0xF5));
        Assert.Equal([0xFA], Keyboard(0xF4));
    }

    [Fact]
    public void Keys_arrive_in_set_2_and_translated_in_set_1()
    {
        SetMode(0x04);
        Assert.True(_controller.Press(PcKey.Escape));
        Assert.Equal([0x76, 0xF0, 0x76], Drain());
        Assert.True(_controller.Press(PcKey.Delete));
        Assert.Equal([0xE0, 0x71, 0xE0, 0xF0, 0x71], Drain());
        SetMode(0x44);
        Assert.True(_controller.Press(PcKey.Escape));
        Assert.Equal([0x01, 0x81], Drain());
        Assert.True(_controller.Press(PcKey.Control, PcKey.Alt, PcKey.Delete));
        Assert.Equal([0x1D, 0x38, 0xE0, 0x53, 0xE0, 0xD3, 0xB8, 0x9D], Drain());
        Assert.True(_controller.Press(PcKey.F12));
        Assert.Equal([0x58, 0xD8], Drain());
    }

    [Fact]
    public void Every_key_without_prefix_survives_the_way_through_set_2()
    {
        SetMode(0x44);
        for (byte code = 1; code <= 0x58; code++)
        {
            if (code != 0x55)
            {
                Assert.True(_controller.Press((PcKey)code));
                Assert.Equal([code, (byte)(code | 0x80)], Drain());
            }
        }
    }

    [Fact]
    public void Text_is_typed_with_shift_where_it_needs_it()
    {
        SetMode(0x44);
        Assert.Equal(6, _controller.TypeKeys("aA1!\n~"));
        Assert.Equal(
            [0x1E, 0x9E, 0x2A, 0x1E, 0x9E, 0xAA, 0x02, 0x82, 0x2A, 0x02, 0x82, 0xAA, 0x1C, 0x9C, 0x2A, 0x29, 0xA9, 0xAA],
            Drain());
        string all = string.Concat(Enumerable.Range(' ', 95).Select(c => (char)c));
        Assert.Equal(95, _controller.TypeKeys(all));
        Drain();
        Assert.Equal(1, _controller.TypeKeys("x\u00E4y"));
    }

    [Fact]
    public void Each_byte_of_a_key_is_an_edge_of_the_interrupt_while_it_is_enabled()
    {
        SetMode(0x45);
        _controller.Press(PcKey.Escape);
        Assert.True(_line.Level);
        Assert.Equal(1, _line.Edges);
        _controller.Data.In(0);
        Assert.True(_line.Level);
        Assert.Equal(3, _line.Edges);
        _controller.Data.In(0);
        Assert.False(_line.Level);
        SetMode(0x44);
        _controller.Press(PcKey.Escape);
        Assert.False(_line.Level);
    }

    [Fact]
    public void Keys_wait_while_the_interface_or_the_scanning_is_off()
    {
        SetMode(0x54);
        _controller.Press(PcKey.F12);
        Assert.Equal(0, Status & 1);
        SetMode(0x44);
        Assert.Equal([0x58, 0xD8], Drain());
        Assert.Equal([0xFA], Keyboard(0xF5));
        _controller.Press(PcKey.F12);
        Assert.Equal(0, Status & 1);
        Assert.Equal([0xFA, 0x58, 0xD8], Keyboard(0xF4));
    }

    [Fact]
    public void More_keys_than_can_wait_are_refused()
    {
        int taken = 0;
        while (taken < 100_000 && _controller.Press(PcKey.Space))
        {
            taken++;
        }

        Assert.InRange(taken, 100, 10_000);
    }

    [Fact]
    public void A_byte_for_the_mouse_times_out_as_the_mouses_and_without_the_keyboards_interrupt()
    {
        SetMode(0x45);
        _controller.Command.Out(0, 0xD4);
        _controller.Data.Out(0, 0xF2);
        Assert.Equal(0x61, Status & 0x61);
        Assert.False(_line.Level);
        Assert.Equal(0xFE, _controller.Data.In(0));
        Assert.Equal(0, Status & 0x61);
    }

    [Fact]
    public void A_mouse_loopback_returns_without_the_mouse_bit()
    {
        _controller.Command.Out(0, 0xD3);
        _controller.Data.Out(0, 0x5A);
        Assert.Equal(0x01, Status & 0x21);
        Assert.Equal(0x5A, _controller.Data.In(0));
    }

    [Theory]
    [InlineData(0xFE, true)]
    [InlineData(0xF0, true)]
    [InlineData(0xFF, false)]
    [InlineData(0xFD, false)]
    public void Pulsing_output_line_zero_resets_the_machine(int command, bool resets)
    {
        _controller.Command.Out(0, (byte)command);
        Assert.Equal(resets ? [(MachineRequest.Reset, 0)] : [], _machine.Requests);
    }

    [Fact]
    public void The_output_port_switches_A20_without_harm_and_resets_when_bit_zero_is_cleared()
    {
        _controller.Command.Out(0, 0xD1);
        _controller.Data.Out(0, 0xCF);
        Assert.Equal(0xCF, Ask(0xD0));
        _controller.Command.Out(0, 0xDD);
        Assert.Equal(0, Ask(0xD0) & 2);
        _controller.Command.Out(0, 0xDF);
        Assert.Equal(2, Ask(0xD0) & 2);
        Assert.Empty(_machine.Requests);
        _controller.Command.Out(0, 0xD1);
        _controller.Data.Out(0, 0xDE);
        Assert.Single(_machine.Requests);
    }

    [Fact]
    public void Reset_forgets_a_half_given_command_waiting_bytes_and_keys()
    {
        _controller.Press(PcKey.Escape);
        _controller.Command.Out(0, 0xAA);
        _controller.Command.Out(0, 0x60);
        _controller.Reset();
        Assert.Equal(0, Status & 1);
        _controller.Command.Out(0, 0xAE);
        Assert.Equal(0, Status & 1);
        Assert.Equal(0x24, Ask(0x20));
    }

    // What firmware does to find a keyboard: self-tests with both interfaces off, flush, reset, set 2, interrupts and translation on.
    [Fact]
    public void The_sequence_of_a_PC_firmware_ends_with_a_keyboard_that_interrupts()
    {
        _controller.Command.Out(0, 0xAD);
        _controller.Command.Out(0, 0xA7);
        Drain();
        Assert.Equal(0x55, Ask(0xAA));
        Assert.Equal(0x00, Ask(0xAB));
        SetMode(0x24);
        Assert.Equal([0xFA, 0xAA], Keyboard(0xFF));
        Assert.Equal([0xFA], Keyboard(0xF5));
        Assert.Equal([0xFA, 0xFA], Keyboard(0xF0, 0x02));
        SetMode(0x65);
        Assert.Equal([0xFA], Keyboard(0xF4));
        Assert.Equal(1, _controller.TypeKeys("\u001B"));
        Assert.True(_line.Level);
        Assert.Equal([0x01, 0x81], Drain());
    }
}
