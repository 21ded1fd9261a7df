using Aperture.Devices.Arm;
using Aperture.Devices.Tests.Fakes;
using Aperture.TestKit.Devices;

namespace Aperture.Devices.Tests.Arm;

public class Pl011Tests
{
    private const ulong Data = 0;
    private const ulong Flags = 0x18;
    private const ulong LineControl = 0x2C;
    private const ulong Control = 0x30;
    private const ulong Mask = 0x38;
    private const ulong Raw = 0x3C;
    private const ulong Clear = 0x44;
    private readonly FakeLine _line = new();
    private readonly RecordingBackend _output = new();
    private readonly Pl011 _uart;

    public Pl011Tests() => _uart = new Pl011(_line, _output);

    [Fact]
    public void A_driver_finds_it_by_its_identification()
    {
        byte[] id = [.. Enumerable.Range(0, 8).Select(i => (byte)_uart.In32(0xFE0 + (4 * (ulong)i)))];
        Assert.Equal([0x11, 0x10, 0x14, 0x00, 0x0D, 0xF0, 0x05, 0xB1], id);
    }

    [Fact]
    public void Reset_values_are_those_of_the_manual()
    {
        Assert.Equal(0x300u, _uart.In32(Control));
        Assert.Equal(0x12u, _uart.In32(0x34));
        Assert.Equal(0x90u, _uart.In32(Flags) & 0xF8);
        Assert.All((ulong[])[0x04, 0x24, 0x28, 0x2C, 0x38, 0x3C, 0x40], offset => Assert.Equal(0u, _uart.In32(offset)));
    }

    [Fact]
    public void Bytes_go_out_also_before_anybody_switches_it_on()
    {
        _uart.Out(Data, (byte)'a');
        _uart.Out32(Data, 'b');
        Assert.Equal("ab"u8.ToArray(), _output.Bytes);
    }

    [Fact]
    public void It_receives_once_it_is_on_and_says_so_by_level_and_timeout()
    {
        Assert.Equal(0, _uart.Receive("x"u8));
        _uart.Out32(LineControl, 0x70);
        _uart.Out32(Control, 0x301);
        _uart.Out32(Mask, 0x50);
        Assert.Equal(3, _uart.Receive("abc"u8));
        Assert.True(_line.Level);
        Assert.Equal(0x40u, _uart.In32(Raw));

        // Half of sixteen by default.
        Assert.Equal(13, _uart.Receive(new byte[20]));
        Assert.Equal(0x50u, _uart.In32(Raw));
        Assert.Equal(0xC0u, _uart.In32(Flags) & 0xD0);
        for (int i = 0; i < 8; i++)
        {
            Assert.Equal(0x10u, _uart.In32(Raw) & 0x10);
            _uart.In32(Data);
        }

        _uart.In32(Data);
        Assert.Equal(0x40u, _uart.In32(Raw));
        for (int i = 0; i < 7; i++)
        {
            _uart.In32(Data);
        }

        Assert.Equal(0u, _uart.In32(Raw));
        Assert.False(_line.Level);
        Assert.Equal(0x10u, _uart.In32(Flags) & 0x10);
    }

    [Fact]
    public void A_break_comes_with_its_byte_and_stays_in_the_status_until_written()
    {
        _uart.Out32(Control, 0x301);
        Assert.True(_uart.ReceiveBreak());
        Assert.Equal(0x200u, _uart.In32(Raw) & 0x200);
        Assert.Equal(0x400u, _uart.In32(Data));
        Assert.Equal(4u, _uart.In32(4));
        _uart.Out32(4, 0);
        Assert.Equal(0u, _uart.In32(4));
    }

    [Fact]
    public void Each_byte_sent_raises_the_transmit_interrupt_anew()
    {
        _uart.Out32(Mask, 0x20);
        Assert.False(_line.Level);
        _uart.Out(Data, 1);
        Assert.True(_line.Level);
        _uart.Out32(Clear, 0x20);
        Assert.False(_line.Level);
        _uart.Out(Data, 2);
        Assert.True(_line.Level);
        _uart.Reset();
        Assert.False(_line.Level);
    }

    [Fact]
    public void Loopback_keeps_everything_inside_and_overruns_are_told()
    {
        _uart.Out32(Control, 0x381 | 0xC00);
        Assert.Equal(3u, _uart.In32(Flags) & 0x107);
        _uart.Out(Data, 0x5A);
        _uart.Out(Data, 0x5B);
        Assert.Empty(_output.Bytes);
        Assert.Equal(0x400u, _uart.In32(Raw) & 0x400);
        Assert.Equal(0x85Au, _uart.In32(Data));
        Assert.Equal(0, _uart.Receive("x"u8));
    }

    [Fact]
    public async Task Feeding_waits_for_the_guest_to_read()
    {
        Task fed = Task.Run(() => _uart.Feed("0123456789"u8, TestContext.Current.CancellationToken), TestContext.Current.CancellationToken);
        _uart.Out32(Control, 0x301);
        string got = "";
        while (got.Length < 10)
        {
            if ((_uart.In32(Flags) & 0x10) == 0)
            {
                got += (char)_uart.In32(Data);
            }
        }

        await fed;
        Assert.Equal("0123456789", got);
    }

    [Fact]
    public void Its_accesses_allocate_nothing() => Allocations.None(() =>
    {
        _uart.Read(Flags, 4, out _);
        _uart.Read(Data, 4, out _);
        _uart.Write(Mask, 4, 0x50);
    });
}
