using Aperture.Assignment;
using Aperture.Linux;
using Aperture.Memory;
using Aperture.VfioUser.Client;

namespace Aperture.VfioUser.Tests;

/// <summary>Every command that the client sends and every one that it answers, bytes out and bytes in, as QEMU's docs/interop/vfio-user.rst has them.</summary>
public sealed class ClientWireTests : IDisposable
{
    private readonly Reports _reports = new();
    private readonly RamBlock _ram = RamBlock.Create("ram", 0x10_0000, shared: true);
    private ScriptedServer? _server;

    private RawPeer Peer => _server!.Peer;

    public void Dispose()
    {
        _server?.Dispose();
        _ram.Dispose();
    }

    [Fact]
    public void The_start_is_a_version_and_questions_about_the_device()
    {
        _server = new ScriptedServer(_reports);
        List<byte[]> expected =
        [
            Wire.Command(0, 1, Wire.Version(0, 1, ScriptedServer.Proposal)),
            Wire.Command(1, 4, new Wire().U32(16).U32(0).U32(0).U32(0)),
        ];
        ushort id = 2;
        for (uint index = 0; index < 9; index++)
        {
            expected.Add(Wire.Command(id++, 5, new Wire().U32(32).U32(0).U32(index).U32(0).U64(0).U64(0)));
            if (index == 2)
            {
                // Again, with the room that the first answer asked for.
                expected.Add(Wire.Command(id++, 5, new Wire().U32(80).U32(0).U32(index).U32(0).U64(0).U64(0)));
            }
        }

        for (uint index = 0; index < 5; index++)
        {
            expected.Add(Wire.Command(id++, 7, new Wire().U32(16).U32(0).U32(index).U32(0)));
        }

        Assert.Equal(expected, _server.Start());
        VfioUserDevice device = _server.Device;
        Assert.Equal([new VfioArea(0x1000, 0x1000), new VfioArea(0x3000, 0x1000)], device.Regions[2].Areas);
        Assert.Equal(new VfioIrq(2, 8, false, false, true), device.Irqs[2]);
        Assert.Equal(new VfioIrq(0, 1, true, true, true), device.Irqs[0]);
    }

    [Fact]
    public void A_register_is_read()
    {
        Started(mappable: true);
        byte[] read = new byte[4];
        Task<int> call = _server!.Call(d => d.Read(0, 0x24, read));
        Assert.Equal(Wire.Command(17, 9, new Wire().U64(0x24).U32(0).U32(4)), Peer.Receive());
        Peer.Send(Wire.Reply(17, 9, new Wire().U64(0x24).U32(0).U32(4).U32(0x0403_0201)));
        Assert.Equal(0, Finished(call));
        Assert.Equal([1, 2, 3, 4], read);
    }

    [Fact]
    public void A_write_waits_for_its_answer_where_something_is_mapped()
    {
        Started(mappable: true);
        Task<int> call = _server!.Call(d => d.Write(0, 0x24, [1, 2]));
        Assert.Equal(Wire.Command(17, 10, new Wire().U64(0x24).U32(0).U32(2).Raw(1, 2)), Peer.Receive());
        Peer.Send(Wire.Reply(17, 10, new Wire().U64(0x24).U32(0).U32(2)));
        Assert.Equal(0, Finished(call));
    }

    [Fact]
    public void A_write_to_a_bar_is_posted_where_nothing_is_mapped_and_one_to_configuration_space_is_not()
    {
        Started(mappable: false);
        Assert.Equal(0, _server!.Device.Write(0, 0x24, [1, 2]));
        Assert.Equal(Wire.Message(16, 10, 0x10, new Wire().U64(0x24).U32(0).U32(2).Raw(1, 2)), Peer.Receive());
        Task<int> call = _server.Call(d => d.Write(7, 4, [6, 0]));
        Assert.Equal(Wire.Command(17, 10, new Wire().U64(4).U32(7).U32(2).Raw(6, 0)), Peer.Receive());
        Peer.Send(Wire.Failure(17, 10, Errno.EINVAL));
        Assert.Equal(Errno.EINVAL, Finished(call));
        Assert.False(_server.Device.IsDead);
    }

    [Fact]
    public void Memory_is_mapped_with_its_descriptor_or_without_and_unmapped()
    {
        Started(mappable: false);
        AddressRange range = new(new GuestAddress(0x1_0000_0000), 0x2000);
        Task<int> call = _server!.Call(d => d.Iommu.Map(range, _ram.HostAddress + 0x3000, writable: true));
        Assert.Equal(Wire.Command(16, 2, new Wire().U32(32).U32(3).U64(0x3000).U64(0x1_0000_0000).U64(0x2000)), Peer.Receive());
        Assert.Single(Peer.Received);
        Peer.Send(Wire.Reply(16, 2, new Wire()));
        Assert.Equal(0, Finished(call));
        Assert.Equal(0, FileDescriptors.TryReadAt(_ram.File!, 0x3000, new byte[1]) - 1);

        call = _server.Call(d => d.Iommu.Map(new AddressRange(GuestAddress.Zero, 0x1000), default, writable: false));
        Assert.Equal(Wire.Command(17, 2, new Wire().U32(32).U32(1).U64(0).U64(0).U64(0x1000)), Peer.Receive());
        Assert.Single(Peer.Received);
        Peer.Send(Wire.Failure(17, 2, Errno.ENOSPC));
        Assert.Equal(Errno.ENOSPC, Finished(call));

        call = _server.Call(d => d.Iommu.Unmap(range));
        Wire unmap = new Wire().U32(24).U32(0).U64(0x1_0000_0000).U64(0x2000);
        Assert.Equal(Wire.Command(18, 3, unmap), Peer.Receive());
        Peer.Send(Wire.Reply(18, 3, unmap));
        Assert.Equal(0, Finished(call));
    }

    [Fact]
    public void Interrupts_are_tied_masked_and_disabled()
    {
        Started(mappable: false);
        using EventFd trigger = new();
        (Func<VfioUserDevice, int> Call, Wire Payload, int Descriptors)[] steps =
        [
            (d => d.SetTriggers(2, 1, [trigger, trigger]), new Wire().U32(20).U32(0x24).U32(2).U32(1).U32(2), 2),
            (d => d.SetTriggers(2, 5, [null, null, null]), new Wire().U32(20).U32(0x24).U32(2).U32(5).U32(3), 0),
            (d => d.DisableIrqs(2), new Wire().U32(20).U32(0x21).U32(2).U32(0).U32(0), 0),
            (d => d.SetIntxMask(true), new Wire().U32(20).U32(0x09).U32(0).U32(0).U32(1), 0),
            (d => d.SetIntxMask(false), new Wire().U32(20).U32(0x11).U32(0).U32(0).U32(1), 0),
        ];
        ushort id = 16;
        int descriptors = 0;
        foreach ((Func<VfioUserDevice, int> call, Wire payload, int brings) in steps)
        {
            Task<int> running = _server!.Call(call);
            Assert.Equal(Wire.Command(id, 8, payload), Peer.Receive());
            Assert.Equal(descriptors += brings, Peer.Received.Count);
            Peer.Send(Wire.Reply(id++, 8, new Wire()));
            Assert.Equal(0, Finished(running));
        }
    }

    [Fact]
    public void No_message_has_more_descriptors_than_the_server_takes()
    {
        Started(mappable: false);
        using EventFd trigger = new();
        Task<int> call = _server!.Call(d => d.SetTriggers(2, 0, [trigger, trigger, trigger, trigger, trigger, null, trigger]));
        (uint Start, uint Count, int Total)[] expected = [(0, 4, 4), (4, 1, 5), (5, 1, 5), (6, 1, 6)];
        ushort id = 16;
        foreach ((uint start, uint count, int total) in expected)
        {
            Assert.Equal(Wire.Command(id, 8, new Wire().U32(20).U32(0x24).U32(2).U32(start).U32(count)), Peer.Receive());
            Assert.Equal(total, Peer.Received.Count);
            Peer.Send(Wire.Reply(id++, 8, new Wire()));
        }

        Assert.Equal(0, Finished(call));
    }

    [Fact]
    public void A_reset_has_no_payload()
    {
        Started(mappable: false);
        Task<int> call = _server!.Call(d => d.Reset());
        Assert.Equal(Wire.Command(16, 13, new Wire()), Peer.Receive());
        Peer.Send(Wire.Reply(16, 13, new Wire()));
        Assert.Equal(0, Finished(call));
    }

    [Fact]
    public void The_servers_accesses_are_answered_whether_something_is_asked_or_not()
    {
        Started(mappable: false);
        Map(0x1000, 0x1000, writable: true, 16);
        Map(0x2000, 0x1000, writable: false, 17);
        _ram.Write(0x1FFC, 0x0807_0605_0403_0201UL);

        // Idle. An id of the server's may be one of the client's.
        Assert.Equal(
            Wire.Reply(16, 11, new Wire().U64(0x1FFC).U64(8).U64(0x0807_0605_0403_0201)),
            Peer.Ask(Wire.Command(16, 11, new Wire().U64(0x1FFC).U64(8))));
        Assert.Equal(
            Wire.Reply(7, 12, new Wire().U64(0x1000).U64(2)), Peer.Ask(Wire.Command(7, 12, new Wire().U64(0x1000).U64(2).Raw(0xAA, 0xBB))));
        Assert.Equal(0xBBAA, _ram.Read<ushort>(0x1000));

        // Between a command and its reply, and right behind the reply.
        byte[] read = new byte[1];
        Task<int> call = _server!.Call(d => d.Read(0, 0, read));
        Peer.Receive();
        Assert.Equal(
            Wire.Reply(18, 11, new Wire().U64(0x1000).U64(1).U8(0xAA)), Peer.Ask(Wire.Command(18, 11, new Wire().U64(0x1000).U64(1))));
        Peer.Send([.. Wire.Reply(18, 9, new Wire().U64(0).U32(0).U32(1).U8(0x55)), .. Wire.Command(1, 11, new Wire().U64(0x1001).U64(1))]);
        Assert.Equal(0, Finished(call));
        Assert.Equal(0x55, read[0]);
        Assert.Equal(Wire.Reply(1, 11, new Wire().U64(0x1001).U64(1).U8(0xBB)), Peer.Receive());
    }

    [Fact]
    public void An_access_to_what_was_not_given_is_refused()
    {
        Started(mappable: false);
        Map(0x1000, 0x1000, writable: true, 16);
        Map(0x2000, 0x1000, writable: false, 17);
        foreach ((ulong address, ulong count) in new[] { (0UL, 1UL), (0xFFFUL, 2UL), (0x2FFFUL, 2UL), (ulong.MaxValue, 1UL), (0x3000UL, 1UL) })
        {
            Assert.Equal(Wire.Failure(3, 11, Errno.EFAULT), Peer.Ask(Wire.Command(3, 11, new Wire().U64(address).U64(count))));
        }

        Assert.Equal(Wire.Failure(3, 12, Errno.EFAULT), Peer.Ask(Wire.Command(3, 12, new Wire().U64(0x1FFF).U64(2).Raw(1, 1))));
        Assert.Equal(0, _ram.Read<byte>(0x1FFF));
        Assert.Equal(Wire.Failure(3, 11, Errno.EINVAL), Peer.Ask(Wire.Command(3, 11, new Wire().U64(0x1000).U64(0x10_0001))));
        Assert.Equal(Wire.Failure(3, 11, Errno.EINVAL), Peer.Ask(Wire.Command(3, 11, new Wire().U64(ulong.MaxValue).U64(0))));
        Assert.Equal(Wire.Failure(3, 12, Errno.EINVAL), Peer.Ask(Wire.Command(3, 12, new Wire().U64(0x1000).U64(3).Raw(1, 1))));
        Assert.Equal(Wire.Failure(3, 9, Errno.ENOSYS), Peer.Ask(Wire.Command(3, 9, new Wire().U64(0).U32(0).U32(4))));
        Assert.False(_server!.Device.IsDead);
    }

    public static TheoryData<string, byte[]> Nonsense => new()
    {
        { "another id", Wire.Reply(99, 9, new Wire().U64(0).U32(0).U32(4).U32(0)) },
        { "another command", Wire.Reply(16, 10, new Wire().U64(0).U32(0).U32(4).U32(0)) },
        { "another offset", Wire.Reply(16, 9, new Wire().U64(8).U32(0).U32(4).U32(0)) },
        { "another region", Wire.Reply(16, 9, new Wire().U64(0).U32(1).U32(4).U32(0)) },
        { "fewer bytes", Wire.Reply(16, 9, new Wire().U64(0).U32(0).U32(4).U16(0)) },
        { "more bytes", Wire.Reply(16, 9, new Wire().U64(0).U32(0).U32(4).U64(0)) },
        { "no payload", Wire.Reply(16, 9, new Wire()) },
        { "no message", new Wire().U16(16).U16(9).U32(15).U32(1).U32(0).Bytes },
        { "a message without end", new Wire().U16(16).U16(9).U32(uint.MaxValue).U32(1).U32(0).Bytes },
        { "an unknown type", Wire.Message(16, 9, 3, new Wire().U64(0).U32(0).U32(4).U32(0)) },
    };

    [Theory]
    [MemberData(nameof(Nonsense))]
    public void A_server_that_answers_nonsense_is_dead(string what, byte[] answer)
    {
        Assert.NotEmpty(what);
        Started(mappable: false);
        byte[] read = new byte[4];
        Task<int> call = _server!.Call(d => d.Read(0, 0, read));
        Peer.Receive();
        Peer.Send(answer);
        Assert.NotEqual(0, Finished(call));
        Assert.Equal([0xFF, 0xFF, 0xFF, 0xFF], read);
        Assert.True(_server.Device.IsDead);
        Assert.Equal(Errno.EPROTO, _server.Device.Write(0, 0, read));
        Assert.True(Peer.IsClosed());
        Assert.Single(_reports.Notices);
    }

    [Theory]
    [InlineData(0x21u, 0u, Errno.EIO)]
    [InlineData(0x21u, 0xFFFF_FFFFu, Errno.EIO)]
    [InlineData(0x21u, 13u, Errno.EACCES)]
    public void An_error_is_the_servers_own_or_eio(uint flags, uint error, int errno)
    {
        Started(mappable: false);
        Task<int> call = _server!.Call(d => d.Read(0, 0, new byte[4]));
        Peer.Receive();
        Peer.Send(Wire.Message(16, 9, flags, new Wire(), error));
        Assert.Equal(errno, Finished(call));
        Assert.False(_server.Device.IsDead);
    }

    [Fact]
    public void A_server_that_is_silent_for_too_long_is_dead()
    {
        Started(mappable: false, new ClientOptions { PatienceMilliseconds = 50 });
        Assert.Equal(Errno.ETIMEDOUT, _server!.Device.Read(0, 0, new byte[4]));
        Assert.True(_server.Device.IsDead);
        Assert.Contains("did not answer within 50 ms", Assert.Single(_reports.Notices), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{"capabilities":{"twin_socket":{"supported":true}}}""")]
    [InlineData("""{"capabilities":{"twin_socket":{"supported":true,"fd_index":0}}}""")]
    [InlineData("""{"capabilities":{"max_data_xfer_size":7}}""")]
    [InlineData("""{"capabilities":"all"}""")]
    [InlineData("}")]
    public void A_version_that_contradicts_itself_is_refused(string json) => Refuses(Wire.Reply(0, 1, Wire.Version(0, 0, json)));

    [Theory]
    [InlineData(1, 0)]
    [InlineData(0, 2)]
    public void A_version_that_was_not_proposed_is_refused(int major, int minor) =>
        Refuses(Wire.Reply(0, 1, Wire.Version((ushort)major, (ushort)minor, "{}")));

    [Fact]
    public void A_reply_that_is_none_is_refused()
    {
        Refuses(Wire.Failure(0, 1, Errno.EINVAL));
        Refuses(Wire.Reply(0, 2, Wire.Version(0, 0, "{}")));
        Refuses(Wire.Reply(0, 1, new Wire().U16(0)));
        Refuses(Wire.Reply(0, 1, new Wire().U16(0).U16(0).Text("{}")));
    }

    [Fact]
    public void A_server_that_is_gone_after_any_answer_is_reported_and_nothing_is_left_open()
    {
        int steps = ScriptedServer.Answers().Count;
        for (int step = 0; step < steps; step++)
        {
            Reports reports = new();
            ScriptedServer server = new(reports);
            server.Start(steps: step);
            server.Peer.Socket.Dispose();
            Assert.ThrowsAny<ApertureException>(() => server.Device);
            server.Dispose();
        }
    }

    [Fact]
    public void A_file_that_is_shorter_than_its_area_is_not_mapped()
    {
        _server = new ScriptedServer(_reports);
        IReadOnlyList<byte[]> answers = ScriptedServer.Answers();
        Assert.Equal(0, MemoryFile.TryMake("short", 0x4000, 0, out SafeFileDescriptor file));
        using (file)
        {
            for (int i = 0; i < answers.Count; i++)
            {
                Peer.Receive();
                Peer.Send(answers[i], i is 4 or 5 ? [file] : []);
            }

            // Offset 0x2000 of the region in the file: the first area is inside, the second is not.
            using RamBlock first = _server.Device.Map(2, new VfioArea(0x1000, 0x1000));
            Assert.Throws<ApertureException>(() => _server.Device.Map(2, new VfioArea(0x3000, 0x1000)));
        }
    }

    private static T Finished<T>(Task<T> call)
    {
        Assert.True(call.Wait(20_000));
        return call.Result;
    }

    private void Refuses(byte[] answer)
    {
        using ScriptedServer server = new(_reports);
        server.Peer.Receive();
        server.Peer.Send(answer);
        Assert.ThrowsAny<ApertureException>(() => server.Device);
    }

    // The next id is 17 with something mappable, 16 without.
    private void Started(bool mappable, ClientOptions? options = null)
    {
        _server = new ScriptedServer(_reports, new Dma(_ram), new SharedBlocks(_ram), options);
        _server.Start(mappable);
        Assert.Equal(9, _server.Device.Regions.Count);
    }

    private void Map(ulong address, ulong size, bool writable, ushort id)
    {
        Task<int> call = _server!.Call(d => d.Iommu.Map(new AddressRange(new GuestAddress(address), size), default, writable));
        Peer.Receive();
        Peer.Send(Wire.Reply(id, 2, new Wire()));
        Assert.Equal(0, Finished(call));
    }

    private sealed class Dma(RamBlock ram) : IDma
    {
        public bool Read(GuestAddress address, Span<byte> destination)
        {
            ram.Read(address.Value, destination);
            return true;
        }

        public bool Write(GuestAddress address, ReadOnlySpan<byte> source)
        {
            ram.Write(address.Value, source);
            return true;
        }
    }
}
