using Aperture.Devices.Serial;
using Aperture.Machine.Console;
using Aperture.Machine.Control;
using Aperture.TestKit.Devices;

namespace Aperture.Machine.Tests.Console;

/// <summary>What is asked of a machine reaches vCPUs that wait for the reader of an output, and users whose guest reads nothing.</summary>
public class OutputRequestTests
{
    [Theory]
    [InlineData(MachineRequest.Reset)]
    [InlineData(MachineRequest.PowerOff)]
    [InlineData(MachineRequest.Exit)]
    public void A_request_releases_who_waits_for_a_stuck_reader(MachineRequest kind)
    {
        using StuckStream stream = new();
        using StreamSerialBackend output = new(stream, patience: TimeSpan.FromDays(1));
        using MachineRequests requests = new(output);
        Thread vcpu = Fill(output);
        Assert.False(vcpu.Join(50));
        requests.Request(kind, 0, "asked");
        vcpu.Join();
        if (kind == MachineRequest.Reset)
        {
            // After a reset output waits for its reader as before.
            requests.ResetDone();
            vcpu = Fill(output);
            Assert.False(vcpu.Join(50));
        }

        requests.Stop("the plug is pulled");
        vcpu.Join();
        output.Dispose();
        stream.Free();
    }

    [Fact]
    public void An_end_that_came_between_is_not_undone_when_the_reset_is_done()
    {
        using StuckStream stream = new();
        using StreamSerialBackend output = new(stream, patience: TimeSpan.FromDays(1));
        using MachineRequests requests = new(output);
        requests.Request(MachineRequest.Reset, 0, "again");
        requests.Request(MachineRequest.PowerOff, 0, "no more");
        requests.ResetDone();
        Fill(output).Join();
        Assert.Equal(MachineRequest.PowerOff, requests.Current().Kind);
        requests.Stop("the plug is pulled");
        output.Dispose();
        stream.Free();
    }

    [Fact]
    public void The_end_is_seen_also_while_the_guest_takes_no_keys()
    {
        Serial16550 uart = new(new FakeLine(), NullSerialBackend.Instance);
        using TerminalKeys keys = new(uart);
        Assert.True(keys.Take("so many keys that no receiver holds them"u8));
        Assert.True(keys.Take([0x01, 0x01]));
        Assert.True(keys.Take(new byte[2 * TerminalKeys.Capacity]));
        Assert.True(keys.Take([0x01]));
        Assert.False(keys.Take("x"u8));
    }

    [Fact]
    public void Keys_reach_the_guest_in_their_order_and_an_escape_typed_twice_is_one()
    {
        Serial16550 uart = new(new FakeLine(), NullSerialBackend.Instance);
        using TerminalKeys keys = new(uart);
        Assert.True(keys.Take([(byte)'a', 0x01, 0x01, (byte)'b', 0x01, (byte)'y']));
        List<byte> read = [];
        while (read.Count < 4)
        {
            uart.Read(5, 1, out ulong status);
            if ((status & 1) != 0)
            {
                uart.Read(0, 1, out ulong key);
                read.Add((byte)key);
            }
        }

        Assert.Equal([(byte)'a', 0x01, (byte)'b', (byte)'y'], read);
    }

    private static Thread Fill(StreamSerialBackend output)
    {
        Thread vcpu = new(() =>
        {
            for (int i = 0; i < 2 * StreamSerialBackend.Capacity; i++)
            {
                output.Write((byte)'x');
            }
        })
        { IsBackground = true };
        vcpu.Start();
        return vcpu;
    }

    private sealed class StuckStream : MemoryStream
    {
        private readonly ManualResetEventSlim _free = new();

        public void Free() => _free.Set();

        public override void Write(ReadOnlySpan<byte> buffer) => _free.Wait();
    }
}
