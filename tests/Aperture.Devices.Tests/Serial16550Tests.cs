using System.Text;
using Aperture.Devices.Serial;
using Aperture.Devices.Tests.Fakes;
using Aperture.TestKit.Devices;

namespace Aperture.Devices.Tests;

public class Serial16550Tests
{
    private const byte Out2 = 0x08;
    private const byte Loop = 0x10;

    private readonly FakeLine _line = new();
    private readonly RecordingBackend _output = new();
    private readonly Serial16550 _uart;

    public Serial16550Tests() => _uart = new Serial16550(_line, _output);

    private void EnableFifo(byte trigger = 0) => _uart.Out(2, (byte)(1 | trigger << 6));

    [Fact]
    public void Transmitted_bytes_reach_the_backend_in_order_and_the_transmitter_stays_empty()
    {
        foreach (byte value in "hello"u8)
        {
            Assert.Equal(0x60, _uart.In(5) & 0x60);
            _uart.Out(0, value);
        }

        Assert.Equal("hello", Encoding.ASCII.GetString([.. _output.Bytes]));
    }

    [Fact]
    public void The_divisor_latch_hides_data_and_interrupt_enable_while_DLAB_is_set()
    {
        _uart.Out(1, 0x05);
        _uart.Out(3, 0x83);
        _uart.Out(0, 0x34);
        _uart.Out(1, 0x12);
        Assert.Equal(0x34, _uart.In(0));
        Assert.Equal(0x12, _uart.In(1));
        _uart.Out(3, 0x03);
        Assert.Equal(0x05, _uart.In(1));
        Assert.Empty(_output.Bytes);
    }

    [Fact]
    public void Scratch_keeps_its_byte_and_reserved_bits_read_zero()
    {
        _uart.Out(7, 0xA5);
        _uart.Out(1, 0xFF);
        _uart.Out(4, 0xFF);
        Assert.Equal(0xA5, _uart.In(7));
        Assert.Equal(0x0F, _uart.In(1));
        Assert.Equal(0x1F, _uart.In(4));
    }

    [Fact]
    public void Without_FIFO_one_byte_fits_and_with_FIFO_sixteen()
    {
        Assert.Equal(1, _uart.Receive("abc"u8));
        EnableFifo();
        Assert.Equal(16, _uart.Receive(new byte[20]));
        Assert.Equal(0, _uart.Receive("x"u8));
        _uart.In(0);
        Assert.Equal(1, _uart.Receive("xy"u8));
    }

    [Fact]
    public void Interrupt_sources_are_identified_in_priority_order_and_each_is_cleared_its_own_way()
    {
        EnableFifo();
        _uart.Out(4, Out2);
        _uart.Out(4, Out2 | Loop);
        _uart.Out(4, Out2);
        _uart.Out(1, 0x0F);
        Assert.True(_uart.ReceiveBreak());

        Assert.Equal(0xC6, _uart.In(2));
        Assert.Equal(0x91, _uart.In(5) & 0x91);
        Assert.Equal(0xC4, _uart.In(2));
        Assert.Equal(0, _uart.In(0));
        Assert.Equal(0xC2, _uart.In(2));
        Assert.Equal(0xC0, _uart.In(2));
        Assert.True(_line.Level);
        _uart.In(6);
        Assert.Equal(0xC1, _uart.In(2));
        Assert.False(_line.Level);
    }

    [Theory]
    [InlineData(0, 1)]
    [InlineData(1, 4)]
    [InlineData(2, 8)]
    [InlineData(3, 14)]
    public void Data_below_the_trigger_level_shows_as_character_timeout(byte code, int trigger)
    {
        EnableFifo(code);
        _uart.Out(1, 1);
        for (int count = 1; count <= 16; count++)
        {
            Assert.Equal(1, _uart.Receive("x"u8));
            Assert.Equal(count >= trigger ? 0xC4 : 0xCC, _uart.In(2));
        }
    }

    [Fact]
    public void Enabling_THRE_and_writing_THR_each_raise_it_anew_and_reading_IIR_clears_it()
    {
        _uart.Out(4, Out2);
        _uart.Out(1, 2);
        Assert.True(_line.Level);
        Assert.Equal(0x02, _uart.In(2));
        Assert.False(_line.Level);
        Assert.Equal(0x01, _uart.In(2));
        _uart.Out(0, (byte)'a');
        Assert.True(_line.Level);
        Assert.Equal(0x02, _uart.In(2));
        _uart.Out(1, 0);
        _uart.Out(1, 2);
        Assert.True(_line.Level);
    }

    [Fact]
    public void Reading_IIR_for_a_higher_source_leaves_THRE_pending()
    {
        _uart.Out(1, 3);
        _uart.Receive("x"u8);
        Assert.Equal(0x04, _uart.In(2));
        _uart.In(0);
        Assert.Equal(0x02, _uart.In(2));
    }

    [Fact]
    public void The_interrupt_leaves_the_chip_only_with_OUT2_and_without_loopback()
    {
        _uart.Out(1, 2);
        Assert.False(_line.Level);
        _uart.Out(4, Out2);
        Assert.True(_line.Level);
        _uart.Out(4, Out2 | Loop);
        Assert.False(_line.Level);
    }

    [Fact]
    public void Loopback_returns_bytes_and_modem_outputs_and_cuts_the_line()
    {
        EnableFifo();
        _uart.Out(4, Loop | 0x0A);
        Assert.Equal(0x90, _uart.In(6) & 0xF0);
        _uart.Out(0, 0x5A);
        Assert.Equal(0x5A, _uart.In(0));
        Assert.Empty(_output.Bytes);
        Assert.Equal(0, _uart.Receive("x"u8));
    }

    [Fact]
    public void Modem_deltas_show_edges_and_for_ring_only_the_trailing_one()
    {
        Assert.Equal(0xB0, _uart.In(6));
        _uart.Out(4, Loop | 0x0F);
        Assert.Equal(0xF0, _uart.In(6));
        _uart.Out(4, Loop | 0x0B);
        Assert.Equal(0xB4, _uart.In(6));
        _uart.Out(4, Loop);
        Assert.Equal(0x0B, _uart.In(6));
        Assert.Equal(0x00, _uart.In(6));
    }

    [Fact]
    public void Loopback_overrun_keeps_the_FIFO_but_overwrites_the_single_buffer()
    {
        _uart.Out(4, Loop);
        _uart.Out(0, 1);
        _uart.Out(0, 2);
        Assert.Equal(0x63, _uart.In(5));
        Assert.Equal(0x61, _uart.In(5));
        Assert.Equal(2, _uart.In(0));

        EnableFifo();
        for (byte i = 0; i < 17; i++)
        {
            _uart.Out(0, i);
        }

        Assert.Equal(0x02, _uart.In(5) & 0x02);
        for (byte i = 0; i < 16; i++)
        {
            Assert.Equal(i, _uart.In(0));
        }

        Assert.Equal(0, _uart.In(5) & 1);
    }

    [Fact]
    public void A_break_shows_when_its_byte_is_the_oldest_and_the_FIFO_error_bit_before_that()
    {
        EnableFifo();
        _uart.Receive("a"u8);
        _uart.ReceiveBreak();
        Assert.Equal(0xE1, _uart.In(5));
        Assert.Equal((byte)'a', _uart.In(0));
        Assert.Equal(0xF1, _uart.In(5));
        Assert.Equal(0x61, _uart.In(5));
    }

    [Fact]
    public void Toggling_FIFO_mode_or_resetting_the_receiver_drops_what_waits()
    {
        EnableFifo();
        _uart.Receive("abc"u8);
        _uart.Out(2, 0x03);
        Assert.Equal(0, _uart.In(5) & 1);
        _uart.Receive("abc"u8);
        _uart.Out(2, 0x00);
        Assert.Equal(0, _uart.In(5) & 1);
        Assert.Equal(0, _uart.In(2) & 0xC0);
    }

    [Fact]
    public void FIFO_control_bits_are_ignored_unless_the_enable_bit_is_in_the_same_write()
    {
        _uart.Receive("a"u8);
        _uart.Out(2, 0xC2);
        Assert.Equal(1, _uart.In(5) & 1);
    }

    [Fact]
    public void A_wide_access_acts_on_consecutive_ports_lowest_first()
    {
        Assert.Equal(AccessResult.Ok, _uart.Write(6, 2, 0xA500));
        Assert.Equal(AccessResult.Ok, _uart.Read(6, 4, out ulong value));
        Assert.Equal(0xFFFFA5B0u, value);
        Assert.Equal(AccessResult.Unclaimed, _uart.Read(8, 1, out _));
    }

    [Fact]
    public void Reset_drops_everything_and_deasserts_the_line()
    {
        EnableFifo();
        _uart.Out(4, Out2);
        _uart.Out(1, 0x0F);
        _uart.Receive("abc"u8);
        Assert.True(_line.Level);
        _uart.Reset();
        Assert.False(_line.Level);
        Assert.Equal(0x01, _uart.In(2));
        Assert.Equal(0x60, _uart.In(5));
        Assert.Equal(1, _uart.Receive("xy"u8));
    }

    [Fact]
    public void A_feeding_thread_loses_nothing_whatever_the_pace_of_the_guest()
    {
        byte[] sent = new byte[5000];
        new Random(7).NextBytes(sent);
        Thread feeder = new(() => _uart.Feed(sent, TestContext.Current.CancellationToken)) { IsBackground = true };
        EnableFifo(2);
        feeder.Start();
        List<byte> received = [];
        SpinWait wait = default;
        while (received.Count < sent.Length)
        {
            TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
            if ((_uart.In(5) & 1) != 0)
            {
                received.Add(_uart.In(0));
            }
            else
            {
                wait.SpinOnce();
            }
        }

        feeder.Join();
        Assert.Equal(sent, received);
    }

    [Fact]
    public void Waiting_for_room_ends_when_it_is_cancelled()
    {
        _uart.Receive("x"u8);
        using CancellationTokenSource stop = new();
        stop.Cancel();
        Assert.Throws<OperationCanceledException>(() => _uart.WaitForRoom(stop.Token));
        _uart.In(0);
        _uart.WaitForRoom(TestContext.Current.CancellationToken);
    }
}
