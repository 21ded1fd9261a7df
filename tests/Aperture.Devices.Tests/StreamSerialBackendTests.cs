using Aperture.Devices.Serial;

namespace Aperture.Devices.Tests;

public class StreamSerialBackendTests
{
    [Fact]
    public void Everything_written_before_dispose_is_in_the_stream_in_order()
    {
        byte[] sent = new byte[3 * StreamSerialBackend.Capacity];
        new Random(3).NextBytes(sent);
        using MemoryStream stream = new();
        using (StreamSerialBackend backend = new(stream, leaveOpen: true))
        {
            foreach (byte value in sent)
            {
                backend.Write(value);
            }
        }

        Assert.Equal(sent, stream.ToArray());
    }

    [Fact]
    public void An_unfinished_line_is_written_without_waiting_for_its_end()
    {
        using GatedStream stream = new(open: true);
        using StreamSerialBackend backend = new(stream);
        backend.Write((byte)'x');
        Assert.True(stream.Written.Wait(TimeSpan.FromMinutes(1), TestContext.Current.CancellationToken));
    }

    [Fact]
    public void A_full_ring_holds_the_writer_until_the_stream_goes_on()
    {
        using GatedStream stream = new(open: false);
        using StreamSerialBackend backend = new(stream);
        int written = 0;
        Thread writer = new(() =>
        {
            for (int i = 0; i < StreamSerialBackend.Capacity + 100; i++)
            {
                backend.Write((byte)i);
                Volatile.Write(ref written, i + 1);
            }
        })
        { IsBackground = true };
        writer.Start();
        SpinWait.SpinUntil(() => Volatile.Read(ref written) >= StreamSerialBackend.Capacity);
        Assert.False(writer.Join(50));
        Assert.Equal(StreamSerialBackend.Capacity, Volatile.Read(ref written));
        stream.Open();
        writer.Join();
        backend.Dispose();
        Assert.Equal(StreamSerialBackend.Capacity + 100, stream.Total);
    }

    [Fact]
    public void A_stream_that_fails_is_reported_and_releases_the_writer()
    {
        using FailingStream stream = new();
        using StreamSerialBackend backend = new(stream);
        for (int i = 0; i < 2 * StreamSerialBackend.Capacity; i++)
        {
            backend.Write((byte)'x');
        }

        Assert.IsType<IOException>(backend.Failure);
    }

    [Fact]
    public void Giving_up_on_a_stuck_stream_releases_the_writer()
    {
        using GatedStream stream = new(open: false);
        using StreamSerialBackend backend = new(stream);
        Thread writer = new(() =>
        {
            for (int i = 0; i < 2 * StreamSerialBackend.Capacity; i++)
            {
                backend.Write((byte)'x');
            }
        })
        { IsBackground = true };
        writer.Start();
        backend.Abandon();
        writer.Join();
        stream.Open();
        Assert.Null(backend.Failure);
    }

    [Fact]
    public void A_stream_that_takes_nothing_holds_no_writer_beyond_its_patience_and_goes_on_later()
    {
        using GatedStream stream = new(open: false);
        int stalls = 0;
        using StreamSerialBackend backend = new(stream, patience: TimeSpan.Zero, stalls: () => stalls++);
        for (int i = 0; i < StreamSerialBackend.Capacity + 100; i++)
        {
            backend.Write((byte)'x');
        }

        Assert.Equal((1, 100L), (stalls, backend.Dropped));
        stream.Open();
        backend.Dispose();
        Assert.Equal(StreamSerialBackend.Capacity, stream.Total);
    }

    [Fact]
    public void A_released_writer_waits_no_more_until_the_output_is_resumed()
    {
        using GatedStream stream = new(open: false);
        using StreamSerialBackend backend = new(stream, patience: TimeSpan.FromDays(1));
        Thread writer = new(() =>
        {
            for (int i = 0; i < 2 * StreamSerialBackend.Capacity; i++)
            {
                backend.Write((byte)'x');
            }
        });
        writer.Start();
        backend.Release();
        writer.Join();
        Assert.Equal(StreamSerialBackend.Capacity, backend.Dropped);
        backend.Resume();
        int late = 0;
        Thread waits = new(() =>
        {
            backend.Write((byte)'y');
            Volatile.Write(ref late, 1);
        });
        waits.Start();
        Assert.False(waits.Join(50));
        stream.Open();
        waits.Join();
        backend.Dispose();
        Assert.Equal((1, StreamSerialBackend.Capacity + 1L), (late, stream.Total));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void The_end_does_not_wait_for_a_stuck_stream_once_it_is_to_hurry(bool late)
    {
        using GatedStream stream = new(open: false);
        using StreamSerialBackend backend = new(stream);
        backend.Write((byte)'x');
        if (!late)
        {
            backend.Hurry();
        }

        Thread end = new(backend.Dispose);
        end.Start();
        if (late)
        {
            Assert.False(end.Join(50));
            backend.Hurry();
        }

        end.Join();
        stream.Open();
    }

    [Fact]
    public void The_end_that_is_to_hurry_still_writes_out_what_a_stream_takes()
    {
        using GatedStream stream = new(open: true);
        StreamSerialBackend backend = new(stream);
        for (int i = 0; i < 1000; i++)
        {
            backend.Write((byte)'x');
        }

        backend.Hurry();
        backend.Dispose();
        Assert.Equal(1000, stream.Total);
    }

    private sealed class GatedStream(bool open) : MemoryStream
    {
        private readonly ManualResetEventSlim _open = new(open);

        public ManualResetEventSlim Written { get; } = new();

        public long Total { get; private set; }

        public void Open() => _open.Set();

        public override void Write(ReadOnlySpan<byte> buffer)
        {
            _open.Wait();
            Total += buffer.Length;
            Written.Set();
        }
    }

    private sealed class FailingStream : MemoryStream
    {
        public override void Write(ReadOnlySpan<byte> buffer) => throw new IOException("the pipe is broken");
    }
}
