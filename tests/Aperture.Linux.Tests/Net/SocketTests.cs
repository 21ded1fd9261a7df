using Aperture.Linux.Net;

namespace Aperture.Linux.Tests.Net;

public class SocketTests
{
    [Fact]
    public void Bytes_arrive_with_the_descriptors_that_were_sent_with_them()
    {
        Assert.Equal(0, UnixSocket.TryPair(out SafeFileDescriptor here, out SafeFileDescriptor there));
        using EventFd counter = new();
        using (here)
        using (there)
        {
            Assert.Equal(5, SocketMessages.TrySend(here, "he"u8, "llo"u8, [counter.Descriptor, counter.Descriptor]));
            byte[] buffer = new byte[16];
            List<SafeFileDescriptor> descriptors = [];
            Assert.Equal(5, SocketMessages.TryReceive(there, buffer, 4, descriptors, out bool lost));
            Assert.False(lost);
            Assert.Equal("hello"u8.ToArray(), buffer[..5]);
            Assert.Equal(2, descriptors.Count);
            using EventFd copy = EventFd.TryAdopt(descriptors[1])!;
            copy.Signal();
            Assert.True(counter.TryTake(out _));
            descriptors[0].Dispose();
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(20)]
    public void No_more_descriptors_are_taken_than_asked_for(int most)
    {
        Assert.Equal(0, UnixSocket.TryPair(out SafeFileDescriptor here, out SafeFileDescriptor there));
        using EventFd counter = new();
        using (here)
        using (there)
        {
            SafeFileDescriptor[] many = [.. Enumerable.Repeat(counter.Descriptor, 20)];
            Assert.Equal(1, SocketMessages.TrySend(here, [7], default, many));
            List<SafeFileDescriptor> descriptors = [];
            Assert.Equal(1, SocketMessages.TryReceive(there, new byte[4], most, descriptors, out bool lost));
            Assert.Equal(most, descriptors.Count);
            Assert.Equal(most < 20, lost);
            Assert.All(descriptors, d => Assert.Contains("eventfd", new FileInfo($"/proc/self/fd/{d.Number}").LinkTarget!, StringComparison.Ordinal));
            descriptors.ForEach(static d => d.Dispose());
        }
    }

    [Fact]
    public void A_peer_that_is_gone_is_an_errno_and_no_signal()
    {
        Assert.Equal(0, UnixSocket.TryPair(out SafeFileDescriptor here, out SafeFileDescriptor there));
        using (here)
        {
            there.Dispose();
            Assert.Equal(-Errno.EPIPE, SocketMessages.TrySend(here, [1], default, default));
            Assert.Equal(0, SocketMessages.TryReceive(here, new byte[4], 0, [], out _));
        }
    }

    [Fact]
    public async Task A_wait_ends_with_its_timeout_and_with_a_shutdown()
    {
        Assert.Equal(0, UnixSocket.TryPair(out SafeFileDescriptor here, out SafeFileDescriptor there));
        using (here)
        using (there)
        {
            Assert.Equal(0, UnixSocket.SetTimeouts(here, 10, 10));
            Assert.Equal(-Errno.EAGAIN, SocketMessages.TryReceive(here, new byte[4], 0, [], out _));
            Task<int> waiting = Task.Run(
                () => SocketMessages.TryReceive(there, new byte[4], 0, [], out _), TestContext.Current.CancellationToken);
            Assert.Equal(0, UnixSocket.Shutdown(there));
            Assert.Equal(0, await waiting.WaitAsync(TimeSpan.FromSeconds(20), TestContext.Current.CancellationToken));
        }
    }

    [Fact]
    public void Connections_are_made_by_path()
    {
        using TemporaryFolder folder = new();
        string path = Path.Combine(folder.Path, "socket");
        Assert.Equal(-Errno.ENOENT, UnixSocket.TryConnect(path, out SafeFileDescriptor none));
        Assert.Equal(0, UnixSocket.TryListen(path, 1, out SafeFileDescriptor listener));
        Assert.Equal(-Errno.EADDRINUSE, UnixSocket.TryListen(path, 1, out SafeFileDescriptor second));
        Assert.Equal(1, UnixSocket.IsListening(listener));
        Assert.Equal(0, UnixSocket.TryConnect(path, out SafeFileDescriptor client));
        Assert.Equal(0, UnixSocket.TryAccept(listener, out SafeFileDescriptor server));
        Assert.Equal(0, UnixSocket.IsListening(server));
        Assert.Equal(1, SocketMessages.TrySend(client, [9], default, default));
        byte[] got = new byte[1];
        Assert.Equal(1, SocketMessages.TryReceive(server, got, 0, [], out _));
        Assert.Equal(9, got[0]);
        foreach (SafeFileDescriptor socket in new[] { none, listener, second, client, server })
        {
            socket.Dispose();
        }

        Assert.Equal(-Errno.EINVAL, UnixSocket.TryListen(new string('x', 108), 1, out _));
        Assert.Equal(-Errno.EINVAL, UnixSocket.TryConnect("", out _));
        Assert.Equal(-Errno.EINVAL, UnixSocket.TryConnect("a\0b", out _));
    }

    [Fact]
    public void Memory_files_keep_their_length_and_other_files_say_theirs()
    {
        Assert.Equal(0, MemoryFile.TryMake("tested", 0x3000, 0, out SafeFileDescriptor file));
        using EventFd counter = new();
        using TemporaryFile disk = new(new byte[100]);
        using SafeFileDescriptor opened = FileDescriptors.Open(disk.Path, OpenFlags.ReadOnly);
        using (file)
        {
            Assert.Equal(0, MemoryFile.TryLength(file, out ulong length));
            Assert.Equal(0x3000UL, length);
            Assert.True(MemoryFile.NeverShrinks(file));
            Assert.Equal(-Errno.EPERM, FileDescriptors.TryWriteAt(file, 0x3000, [1]));
        }

        Assert.Equal(0, MemoryFile.TryLength(opened, out ulong small));
        Assert.Equal(100UL, small);
        Assert.False(MemoryFile.NeverShrinks(opened));
        Assert.Equal(Errno.EINVAL, MemoryFile.TryLength(counter.Descriptor, out _));
    }

    [Fact]
    public void Only_an_eventfd_is_adopted_as_one()
    {
        Assert.Equal(0, UnixSocket.TryPair(out SafeFileDescriptor here, out SafeFileDescriptor there));
        using (here)
        using (there)
        {
            Assert.Null(EventFd.TryAdopt(here));
        }

        using SafeFileDescriptor none = new();
        Assert.Null(EventFd.TryAdopt(none));
    }

    [Fact]
    public void A_guarded_copy_answers_where_nothing_is()
    {
        Assert.Equal(0, MemoryMap.Reserve(0x2000, out HostAddress nothing));
        byte[] bytes = [1, 2, 3];
        Assert.Equal(Errno.EFAULT, GuardedCopy.TryRead(nothing, bytes));
        Assert.Equal(Errno.EFAULT, GuardedCopy.TryWrite(nothing, bytes));
        Assert.Equal(0, MemoryMap.Unmap(nothing, 0x2000));
        Assert.Equal(0, MemoryMap.MapPrivateMemory(0x1000, 0, out HostAddress memory));
        Assert.Equal(0, GuardedCopy.TryWrite(memory + 0xFFD, bytes));
        byte[] back = new byte[3];
        Assert.Equal(0, GuardedCopy.TryRead(memory + 0xFFD, back));
        Assert.Equal(bytes, back);
        Assert.Equal(0, MemoryMap.Unmap(memory, 0x1000));
    }
}
