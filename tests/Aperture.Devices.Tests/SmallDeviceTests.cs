using Aperture.Devices.Pc;
using Aperture.Devices.Tests.Fakes;
using Aperture.TestKit.Devices;

namespace Aperture.Devices.Tests;

public class SmallDeviceTests
{
    private readonly FakeMachine _machine = new();

    [Theory]
    [InlineData(1, 0UL, 1)]
    [InlineData(1, 1UL, 3)]
    [InlineData(1, 0x7FUL, 255)]
    [InlineData(1, 0x80UL, 1)]
    [InlineData(1, 0xFF02UL, 5)]
    [InlineData(2, 0x105UL, 11)]
    [InlineData(4, 0x80000010UL, 33)]
    public void Debug_exit_doubles_the_value_adds_one_and_keeps_eight_bits(int size, ulong value, int code)
    {
        Assert.Equal(AccessResult.Ok, new DebugExit(_machine).Write(0, size, value));
        Assert.Equal([(MachineRequest.Exit, code)], _machine.Requests);
    }

    [Fact]
    public void Port_92_resets_on_the_rising_edge_only_and_keeps_A20()
    {
        Port92 port = new(_machine);
        Assert.Equal(2, port.In(0));
        port.Out(0, 0);
        Assert.Equal(0, port.In(0));
        Assert.Empty(_machine.Requests);
        port.Out(0, 3);
        port.Out(0, 3);
        Assert.Single(_machine.Requests);
        port.Reset();
        Assert.Equal(2, port.In(0));
    }

    [Theory]
    [InlineData(0x06)]
    [InlineData(0x04)]
    [InlineData(0x0E)]
    public void Reset_control_resets_when_bit_two_rises(int go)
    {
        ResetControl port = new(_machine);
        port.Out(0, (byte)(go & ~4));
        Assert.Empty(_machine.Requests);
        port.Out(0, (byte)go);
        Assert.Equal([(MachineRequest.Reset, 0)], _machine.Requests);
        Assert.Equal(go & ~4, port.In(0));
        port.Out(0, (byte)go);
        Assert.Single(_machine.Requests);
        port.Out(0, 0);
        port.Out(0, (byte)go);
        Assert.Equal(2, _machine.Requests.Count);
    }

    [Fact]
    public void The_debug_console_passes_bytes_on_and_reads_as_its_signature()
    {
        RecordingBackend output = new();
        DebugConsole console = new(output);
        console.Out(0, (byte)'o');
        console.Out(0, (byte)'k');
        Assert.Equal("ok"u8.ToArray(), output.Bytes);
        Assert.Equal(0xE9, console.In(0));
    }

    [Fact]
    public void A_dummy_port_swallows_writes_and_remembers_the_last()
    {
        DummyPort port = new();
        port.Out(0, 0x42);
        Assert.Equal(0x42, port.In(0));
        Assert.Equal(0x42, port.Last);
    }
}
