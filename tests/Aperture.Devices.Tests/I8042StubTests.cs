namespace Aperture.Devices.Tests;

public class I8042StubTests
{
    private readonly FakeMachine _machine = new();
    private readonly FakeLine _line = new();
    private readonly I8042Stub _controller;

    public I8042StubTests() => _controller = new I8042Stub(_machine, _line);

    private byte Status => _controller.Command.In(0);

    private byte Ask(byte command)
    {
        _controller.Command.Out(0, command);
        Assert.Equal(1, Status & 1);
        return _controller.Data.In(0);
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
    public void An_idle_controller_has_nothing_to_read_and_takes_commands()
    {
        Assert.Equal(0, Status & 0x03);
        Assert.Equal(0x04, Status & 0x04);
    }

    [Fact]
    public void The_command_byte_reads_back_and_gates_the_interrupt()
    {
        _controller.Command.Out(0, 0x60);
        _controller.Data.Out(0, 0x44);
        Assert.Equal(0x44, Ask(0x20));
        Assert.Equal(0, _line.Edges);
        _controller.Command.Out(0, 0x60);
        _controller.Data.Out(0, 0x45);
        _controller.Command.Out(0, 0x20);
        Assert.True(_line.Level);
        _controller.Data.In(0);
        Assert.False(_line.Level);
    }

    [Fact]
    public void A_byte_for_the_keyboard_times_out_at_once()
    {
        _controller.Data.Out(0, 0xF2);
        Assert.Equal(0x41, Status & 0x41);
        Assert.Equal(0xFE, _controller.Data.In(0));
        Assert.Equal(0, Status & 0x41);
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
        _controller.Data.Out(0, 0xDF);
        Assert.Equal(0xDF, Ask(0xD0));
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
    public void Reset_forgets_a_half_given_command_and_a_waiting_byte()
    {
        _controller.Command.Out(0, 0xAA);
        _controller.Command.Out(0, 0x60);
        _controller.Reset();
        Assert.Equal(0, Status & 1);
        _controller.Data.Out(0, 0x01);
        Assert.Equal(0x34, Ask(0x20));
    }
}
