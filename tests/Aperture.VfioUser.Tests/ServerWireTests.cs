using Aperture.Linux;
using Aperture.VfioUser.Server;

namespace Aperture.VfioUser.Tests;

/// <summary>
/// Every command of a client, bytes in and bytes out. The bytes are those of QEMU's docs/interop/vfio-user.rst, whose sections the names follow.
/// </summary>
public sealed class ServerWireTests : IDisposable
{
    // Commands ("Commands").
    private const ushort Version = 1;
    private const ushort DmaMap = 2;
    private const ushort DmaUnmap = 3;
    private const ushort GetInfo = 4;
    private const ushort GetRegionInfo = 5;
    private const ushort GetRegionIoFds = 6;
    private const ushort GetIrqInfo = 7;
    private const ushort SetIrqs = 8;
    private const ushort RegionRead = 9;
    private const ushort RegionWrite = 10;
    private const ushort DmaRead = 11;
    private const ushort DmaWrite = 12;
    private const ushort Reset = 13;
    private const ushort WriteMulti = 15;
    private const ushort Feature = 16;
    private const ushort MigRead = 17;
    private const ushort MigWrite = 18;

    private readonly ServedSample _device = new();
    private readonly Reports _reports = new();
    private readonly RawPeer _peer;
    private readonly VfioUserServer _server;

    public ServerWireTests()
    {
        _peer = RawPeer.Pair(out SafeFileDescriptor socket);
        _server = VfioUserServer.FromDescriptor(socket, _device, _reports);
    }

    public void Dispose()
    {
        _peer.Dispose();
        _server.Dispose();
        _device.Dispose();
    }

    [Fact]
    public void A_version_is_answered_with_what_was_proposed_and_no_more()
    {
        // What QEMU 11.1 proposes.
        const string Proposal = """
            {"capabilities":{"max_msg_fds":8,"max_data_xfer_size":1048576,"pgsizes":4096,"max_dma_maps":65535,"migration":{"pgsize":4096},
            "write_multiple":true}}
            """;
        byte[] command = Wire.Command(0x1234, Version, Wire.Version(0, 0, Proposal));
        byte[] reply = _peer.Ask(command);
        const string Answer = """
            {"capabilities":{"max_msg_fds":8,"max_data_xfer_size":1048576,"max_dma_maps":65535,"pgsizes":4096,"write_multiple":true}}
            """;
        Assert.Equal(Wire.Reply(0x1234, Version, Wire.Version(0, 0, Answer)), reply);
        Assert.True(reply.Length <= command.Length);
    }

    [Theory]
    [InlineData(0, 0)]
    [InlineData(1, 1)]
    [InlineData(2, 1)]
    [InlineData(0xFFFF, 1)]
    public void The_minor_version_is_the_proposed_one_or_the_highest_that_is_known(int proposed, int answered) => Assert.Equal(
        Wire.Reply(1, Version, Wire.Version(0, (ushort)answered, """{"capabilities":{}}""")),
        _peer.Ask(Wire.Command(1, Version, Wire.Version(0, (ushort)proposed, "{}"))));

    [Fact]
    public void A_version_without_data_is_one() => Assert.Equal(
        Wire.Reply(1, Version, Wire.Version(0, 1, """{"capabilities":{}}""")), _peer.Ask(Wire.Command(1, Version, new Wire().U16(0).U16(1))));

    [Theory]
    [InlineData(1, 0, "{}")]
    [InlineData(0, 0, "[]")]
    [InlineData(0, 0, "{")]
    [InlineData(0, 0, "{} {}")]
    [InlineData(0, 0, """{"capabilities":7}""")]
    [InlineData(0, 0, """{"capabilities":{"max_msg_fds":-1}}""")]
    [InlineData(0, 0, """{"capabilities":{"max_msg_fds":"8"}}""")]
    [InlineData(0, 0, """{"capabilities":{"max_data_xfer_size":4}}""")]
    [InlineData(0, 0, """{"capabilities":{"max_data_xfer_size":99999999999}}""")]
    [InlineData(0, 0, """{"capabilities":{"twin_socket":true}}""")]
    public void A_version_that_cannot_be_ends_the_connection(int major, int minor, string json)
    {
        _peer.Send(Wire.Command(1, Version, Wire.Version((ushort)major, (ushort)minor, json)));
        Assert.True(_peer.IsClosed());
        _reports.Await("vfio-user.ended");
    }

    [Fact]
    public void Anything_before_the_version_ends_the_connection()
    {
        _peer.Send(Wire.Command(1, GetInfo, new Wire().U32(16).U32(0).U32(0).U32(0)));
        Assert.True(_peer.IsClosed());
    }

    [Fact]
    public void A_twin_socket_comes_with_the_reply_and_is_named_by_its_index()
    {
        byte[] reply = _peer.Ask(Wire.Command(1, Version, Wire.Version(0, 1, """{"capabilities":{"max_msg_fds":2,"twin_socket":{"supported":true}}}""")));
        const string Answer = """{"capabilities":{"max_msg_fds":2,"twin_socket":{"supported":true,"fd_index":0}}}""";
        Assert.Equal(Wire.Reply(1, Version, Wire.Version(0, 1, Answer)), reply);
        Assert.Single(_peer.Received);
    }

    [Fact]
    public void The_device_is_described()
    {
        Greet();
        Assert.Equal(
            Wire.Reply(2, GetInfo, new Wire().U32(16).U32(3).U32(9).U32(5)),
            _peer.Ask(Wire.Command(2, GetInfo, new Wire().U32(16).U32(0).U32(0).U32(0))));
        Assert.Equal(Wire.Failure(3, GetInfo, Errno.EINVAL), _peer.Ask(Wire.Command(3, GetInfo, new Wire().U32(15).U32(0).U32(0).U32(0))));
        Assert.Equal(Wire.Failure(4, GetInfo, Errno.EINVAL), _peer.Ask(Wire.Command(4, GetInfo, new Wire().U32(16).U32(0).U32(0))));
    }

    [Fact]
    public void A_region_is_described_and_brings_its_descriptor()
    {
        Greet();
        Wire Ask(uint argsz, uint index) => new Wire().U32(argsz).U32(0).U32(index).U32(0).U64(0).U64(0);
        Assert.Equal(
            Wire.Reply(2, GetRegionInfo, new Wire().U32(32).U32(3).U32(0).U32(0).U64(0x1000).U64(0)),
            _peer.Ask(Wire.Command(2, GetRegionInfo, Ask(32, 0))));
        Assert.Empty(_peer.Received);

        // The whole of it may be mapped.
        Assert.Equal(
            Wire.Reply(3, GetRegionInfo, new Wire().U32(32).U32(7).U32(5).U32(0).U64(0x2000).U64(0)),
            _peer.Ask(Wire.Command(3, GetRegionInfo, Ask(32, 5))));
        Assert.Single(_peer.Received);

        // Two areas of it: first only what fits is said, then all: capability 1, version 1, no next, two areas.
        Assert.Equal(
            Wire.Reply(4, GetRegionInfo, new Wire().U32(80).U32(15).U32(2).U32(32).U64(0x8000).U64(0x2000)),
            _peer.Ask(Wire.Command(4, GetRegionInfo, Ask(32, 2))));
        Wire all = new Wire().U32(80).U32(15).U32(2).U32(32).U64(0x8000).U64(0x2000)
            .U16(1).U16(1).U32(0).U32(2).U32(0).U64(0x1000).U64(0x1000).U64(0x3000).U64(0x1000);
        Assert.Equal(Wire.Reply(5, GetRegionInfo, all), _peer.Ask(Wire.Command(5, GetRegionInfo, Ask(80, 2))));
        Assert.Equal(3, _peer.Received.Count);

        // One that cannot be written; one that is not there; one that nobody has.
        Assert.Equal(
            Wire.Reply(6, GetRegionInfo, new Wire().U32(32).U32(1).U32(3).U32(0).U64(0x100).U64(0)),
            _peer.Ask(Wire.Command(6, GetRegionInfo, Ask(32, 3))));
        Assert.Equal(
            Wire.Reply(7, GetRegionInfo, new Wire().U32(32).U32(0).U32(1).U32(0).U64(0).U64(0)),
            _peer.Ask(Wire.Command(7, GetRegionInfo, Ask(32, 1))));
        Assert.Equal(Wire.Failure(8, GetRegionInfo, Errno.EINVAL), _peer.Ask(Wire.Command(8, GetRegionInfo, Ask(32, 9))));
    }

    [Fact]
    public void An_interrupt_kind_is_described()
    {
        Greet();
        Wire Ask(uint index) => new Wire().U32(16).U32(0).U32(index).U32(0);
        Assert.Equal(Wire.Reply(2, GetIrqInfo, new Wire().U32(16).U32(7).U32(0).U32(1)), _peer.Ask(Wire.Command(2, GetIrqInfo, Ask(0))));
        Assert.Equal(Wire.Reply(3, GetIrqInfo, new Wire().U32(16).U32(9).U32(1).U32(4)), _peer.Ask(Wire.Command(3, GetIrqInfo, Ask(1))));
        Assert.Equal(Wire.Reply(4, GetIrqInfo, new Wire().U32(16).U32(1).U32(2).U32(8)), _peer.Ask(Wire.Command(4, GetIrqInfo, Ask(2))));
        Assert.Equal(Wire.Failure(5, GetIrqInfo, Errno.EINVAL), _peer.Ask(Wire.Command(5, GetIrqInfo, Ask(5))));
    }

    [Fact]
    public void Registers_are_written_and_read()
    {
        Greet();
        Assert.Equal(
            Wire.Reply(2, RegionWrite, new Wire().U64(0x10).U32(0).U32(4)),
            _peer.Ask(Wire.Command(2, RegionWrite, new Wire().U64(0x10).U32(0).U32(4).U32(0xCAFE_F00D))));
        Assert.Equal(
            Wire.Reply(3, RegionRead, new Wire().U64(0x10).U32(0).U32(8).U64(0xCAFE_F00D)),
            _peer.Ask(Wire.Command(3, RegionRead, new Wire().U64(0x10).U32(0).U32(8))));
        Assert.Equal(
            Wire.Reply(4, RegionRead, new Wire().U64(0).U32(7).U32(4).U32(0x0DEF_1AB4)),
            _peer.Ask(Wire.Command(4, RegionRead, new Wire().U64(0).U32(7).U32(4))));
        Assert.Equal(
            Wire.Reply(5, RegionRead, new Wire().U64(0x1000).U32(0).U32(0)), _peer.Ask(Wire.Command(5, RegionRead, new Wire().U64(0x1000).U32(0).U32(0))));
    }

    [Theory]
    [InlineData(0xFFDUL, 0u, 4u)]
    [InlineData(0x1001UL, 0u, 0u)]
    [InlineData(ulong.MaxValue, 0u, 4u)]
    [InlineData(0UL, 1u, 4u)]
    [InlineData(0UL, 9u, 4u)]
    [InlineData(0UL, uint.MaxValue, 4u)]
    [InlineData(0UL, 0u, uint.MaxValue)]
    [InlineData(0UL, 0u, 0x10_0001u)]
    public void A_read_outside_is_invalid(ulong offset, uint region, uint count)
    {
        Greet();
        Assert.Equal(Wire.Failure(2, RegionRead, Errno.EINVAL), _peer.Ask(Wire.Command(2, RegionRead, new Wire().U64(offset).U32(region).U32(count))));
    }

    [Fact]
    public void A_write_whose_sizes_lie_is_invalid()
    {
        Greet();
        Wire[] lies =
        [
            new Wire().U64(0).U32(0).U32(4), new Wire().U64(0).U32(0).U32(4).U64(0), new Wire().U64(0).U32(0).U32(0xFFFF_FFF0).U32(0),
            new Wire().U64(0).U32(3).U32(4).U32(1), new Wire().U64(0xFFE).U32(0).U32(4).U32(1), new Wire(), new Wire().U64(0).U32(0),
        ];
        foreach (Wire lie in lies)
        {
            Assert.Equal(Wire.Failure(2, RegionWrite, Errno.EINVAL), _peer.Ask(Wire.Command(2, RegionWrite, lie)));
        }

        Assert.All(_device.Registers, b => Assert.Equal(0, b));
    }

    [Fact]
    public void Nothing_answers_a_command_that_wants_no_reply_be_it_wrong()
    {
        Greet();
        _peer.Send(Wire.Message(2, RegionWrite, 0x10, new Wire().U64(0).U32(0).U32(4).U32(7)));
        _peer.Send(Wire.Message(3, RegionWrite, 0x10, new Wire().U64(0).U32(77).U32(4).U32(7)));
        _peer.Send(Wire.Message(4, 999, 0x10, new Wire()));
        Assert.Equal(
            Wire.Reply(5, RegionRead, new Wire().U64(0).U32(0).U32(4).U32(7)), _peer.Ask(Wire.Command(5, RegionRead, new Wire().U64(0).U32(0).U32(4))));
    }

    [Fact]
    public void Several_writes_go_in_one_message_and_those_done_are_counted()
    {
        Greet();
        Wire three = new Wire().U64(3)
            .U64(0).U32(0).U32(1).U64(0x11).U64(4).U32(0).U32(4).U64(0x2222_2222).U64(8).U32(0).U32(8).U64(0x3333_3333_3333_3333);
        Assert.Equal(Wire.Reply(2, WriteMulti, new Wire().U64(3)), _peer.Ask(Wire.Command(2, WriteMulti, three)));
        Assert.Equal(new Wire().U32(0x11).U32(0x2222_2222).U64(0x3333_3333_3333_3333).Bytes, _device.Registers[..16]);

        // The second is outside; a count that lies; one of more than 8 bytes.
        Wire bad = new Wire().U64(2).U64(0).U32(0).U32(1).U64(0x99).U64(0x1000).U32(0).U32(1).U64(0);
        Assert.Equal(Wire.Reply(3, WriteMulti, new Wire().U64(1)), _peer.Ask(Wire.Command(3, WriteMulti, bad)));
        Assert.Equal(Wire.Failure(4, WriteMulti, Errno.EINVAL), _peer.Ask(Wire.Command(4, WriteMulti, new Wire().U64(1UL << 60))));
        Wire wide = new Wire().U64(1).U64(0).U32(0).U32(9).U64(0x99);
        Assert.Equal(Wire.Reply(5, WriteMulti, new Wire().U64(0)), _peer.Ask(Wire.Command(5, WriteMulti, wide)));
    }

    [Fact]
    public void Memory_is_mapped_unmapped_and_never_twice()
    {
        Greet();
        Assert.Equal(0, MemoryFile.TryMake("ram", 0x4000, 0, out SafeFileDescriptor file));
        using (file)
        {
            Assert.Equal(Wire.Reply(2, DmaMap, new Wire()), _peer.Ask(Wire.Command(2, DmaMap, Map(0x1000, 0x10_0000, 0x2000, 3)), file));
            Assert.Equal(Wire.Reply(3, DmaMap, new Wire()), _peer.Ask(Wire.Command(3, DmaMap, Map(0, 0x20_0000, 0x1000, 1))));

            // Over an existing one, in any way: EEXIST.
            foreach ((ulong address, ulong size) in new[] { (0x10_0000UL, 0x2000UL), (0xF_F000UL, 0x2000UL), (0x10_1000UL, 0x1000UL), (0UL, 1UL << 40) })
            {
                Assert.Equal(Wire.Failure(4, DmaMap, Errno.EEXIST), _peer.Ask(Wire.Command(4, DmaMap, Map(0, address, size, 3))));
            }

            // Must match exactly.
            foreach ((ulong address, ulong size) in new[] { (0x10_0000UL, 0x1000UL), (0x10_1000UL, 0x1000UL), (0UL, 0x1000UL) })
            {
                Assert.Equal(Wire.Failure(5, DmaUnmap, Errno.ENOENT), _peer.Ask(Wire.Command(5, DmaUnmap, Unmap(address, size))));
            }

            Assert.Equal(Wire.Reply(6, DmaUnmap, Unmap(0x10_0000, 0x2000)), _peer.Ask(Wire.Command(6, DmaUnmap, Unmap(0x10_0000, 0x2000))));
            Assert.Equal(Wire.Reply(7, DmaMap, new Wire()), _peer.Ask(Wire.Command(7, DmaMap, Map(0, 0x10_0000, 0x1000, 3)), file));
        }

        // All at once, as QEMU asks.
        Wire everything = new Wire().U32(24).U32(2).U64(0).U64(0);
        Assert.Equal(Wire.Reply(8, DmaUnmap, everything), _peer.Ask(Wire.Command(8, DmaUnmap, everything)));
        Assert.Equal(
            ["connected", "+0x100000-0x101fff file 0x1000", "+0x200000-0x200fff messages read-only", "-0x100000-0x101fff", "+0x100000-0x100fff file 0x0",
                "-0x100000-0x100fff", "-0x200000-0x200fff"],
            _device.Log);
    }

    [Fact]
    public void Mappings_that_cannot_be_are_invalid()
    {
        Greet();
        Assert.Equal(0, MemoryFile.TryMake("ram", 0x2000, 0, out SafeFileDescriptor file));
        using EventFd notMemory = new();
        using (file)
        {
            // More than the file has; past its end; not whole pages; round the end of addresses; nothing allowed; unknown flags; too small.
            (Wire Payload, SafeFileDescriptor[] Files)[] wrong =
            [
                (Map(0, 0, 0x3000, 3), [file]), (Map(0x2000, 0, 0x1000, 3), [file]), (Map(ulong.MaxValue - 0xFFF, 0, 0x1000, 3), [file]),
                (Map(0, 0x800, 0x1000, 3), [file]), (Map(0, 0, 0x800, 3), []), (Map(0, 0, 0, 3), []), (Map(0, ulong.MaxValue - 0xFFF, 0x2000, 3), []),
                (Map(0, 0, 0x1000, 0), []), (Map(0, 0, 0x1000, 4), []), (Map(0, 0, 0x1000, 3), [notMemory.Descriptor]),
                (Map(0, 0, 0x1000, 3), [file, file]), (new Wire().U32(31).U32(3).U64(0).U64(0).U64(0x1000), []), (new Wire().U32(32), []),
            ];
            foreach ((Wire payload, SafeFileDescriptor[] files) in wrong)
            {
                Assert.Equal(Wire.Failure(2, DmaMap, Errno.EINVAL), _peer.Ask(Wire.Command(2, DmaMap, payload), files));
            }
        }

        Assert.Equal(["connected"], _device.Log);
    }

    [Fact]
    public void Interrupts_are_tied_signalled_and_untied()
    {
        Greet();
        using EventFd first = new();
        using EventFd second = new();
        Wire tie = new Wire().U32(20).U32(0x24).U32(2).U32(3).U32(2);
        Assert.Equal(Wire.Reply(2, SetIrqs, new Wire()), _peer.Ask(Wire.Command(2, SetIrqs, tie), first.Descriptor, second.Descriptor));
        Assert.True(_device.Client!.Signal(2, 3));
        Assert.False(_device.Client.Signal(2, 5));
        Assert.True(first.TryTake(out _));
        Assert.False(second.TryTake(out _));

        // A client may trigger it itself: all, or those with a byte that is not 0.
        Assert.Equal(Wire.Reply(3, SetIrqs, new Wire()), _peer.Ask(Wire.Command(3, SetIrqs, new Wire().U32(20).U32(0x21).U32(2).U32(3).U32(2))));
        Assert.True(first.TryTake(out _) & second.TryTake(out _));
        Wire some = new Wire().U32(22).U32(0x22).U32(2).U32(3).U32(2).U8(0).U8(1);
        Assert.Equal(Wire.Reply(4, SetIrqs, new Wire()), _peer.Ask(Wire.Command(4, SetIrqs, some)));
        Assert.False(first.TryTake(out _));
        Assert.True(second.TryTake(out _));

        // No descriptors: untied. Count 0: the kind is disabled.
        Assert.Equal(Wire.Reply(5, SetIrqs, new Wire()), _peer.Ask(Wire.Command(5, SetIrqs, new Wire().U32(20).U32(0x24).U32(2).U32(3).U32(1))));
        Assert.False(_device.Client.Signal(2, 3));
        Assert.True(_device.Client.Signal(2, 4));
        Assert.Equal(Wire.Reply(6, SetIrqs, new Wire()), _peer.Ask(Wire.Command(6, SetIrqs, new Wire().U32(20).U32(0x21).U32(2).U32(0).U32(0))));
        Assert.False(_device.Client.Signal(2, 4));
    }

    [Fact]
    public void Intx_masks_itself_and_comes_again_when_it_is_unmasked_while_asserted()
    {
        Greet();
        using EventFd trigger = new();
        Assert.Equal(
            Wire.Reply(2, SetIrqs, new Wire()), _peer.Ask(Wire.Command(2, SetIrqs, new Wire().U32(20).U32(0x24).U32(0).U32(0).U32(1)), trigger.Descriptor));
        _device.Client!.SetIntx(true);
        _device.Client.SetIntx(true);
        Assert.True(trigger.TryTake(out ulong count));
        Assert.Equal(1UL, count);
        byte[] unmask = Wire.Command(3, SetIrqs, new Wire().U32(20).U32(0x11).U32(0).U32(0).U32(1));
        Assert.Equal(Wire.Reply(3, SetIrqs, new Wire()), _peer.Ask(unmask));
        Assert.True(trigger.TryTake(out _));
        _device.Client.SetIntx(false);
        Assert.Equal(Wire.Reply(3, SetIrqs, new Wire()), _peer.Ask(unmask));
        Assert.False(trigger.TryTake(out _));
        Assert.Equal(Wire.Reply(4, SetIrqs, new Wire()), _peer.Ask(Wire.Command(4, SetIrqs, new Wire().U32(20).U32(9).U32(0).U32(0).U32(1))));
        _device.Client.SetIntx(true);
        Assert.False(trigger.TryTake(out _));
        Assert.Equal(Wire.Reply(3, SetIrqs, new Wire()), _peer.Ask(unmask));
        Assert.True(trigger.TryTake(out _));
    }

    [Fact]
    public void Interrupt_requests_that_cannot_be_are_invalid()
    {
        Greet();
        using EventFd trigger = new();
        (Wire Payload, SafeFileDescriptor[] Files)[] wrong =
        [
            (new Wire().U32(20).U32(0x24).U32(5).U32(0).U32(1), [trigger.Descriptor]),
            (new Wire().U32(20).U32(0x24).U32(2).U32(8).U32(1), [trigger.Descriptor]),
            (new Wire().U32(20).U32(0x24).U32(2).U32(uint.MaxValue).U32(2), [trigger.Descriptor]),
            (new Wire().U32(20).U32(0x24).U32(2).U32(0).U32(2), [trigger.Descriptor]),
            (new Wire().U32(20).U32(0x21).U32(2).U32(0).U32(1), [trigger.Descriptor]),
            (new Wire().U32(20).U32(0x24).U32(2).U32(0).U32(1), [_device.File]),
            (new Wire().U32(20).U32(0x25).U32(2).U32(0).U32(1), []),
            (new Wire().U32(20).U32(0x31).U32(0).U32(0).U32(1), []),
            (new Wire().U32(20).U32(0x20).U32(2).U32(0).U32(1), []),
            (new Wire().U32(20).U32(1).U32(2).U32(0).U32(1), []),
            (new Wire().U32(20).U32(0x61).U32(2).U32(0).U32(1), []),
            (new Wire().U32(20).U32(9).U32(2).U32(0).U32(1), []),
            (new Wire().U32(20).U32(0x21).U32(2).U32(1).U32(0), []),
            (new Wire().U32(20).U32(0x22).U32(2).U32(0).U32(2).U8(1), []),
            (new Wire().U32(19).U32(0x21).U32(2).U32(0).U32(1), []),
            (new Wire().U32(20).U32(0x21).U32(2).U32(0), []),
        ];
        foreach ((Wire payload, SafeFileDescriptor[] files) in wrong)
        {
            Assert.Equal(Wire.Failure(2, SetIrqs, Errno.EINVAL), _peer.Ask(Wire.Command(2, SetIrqs, payload), files));
        }

        Assert.False(_device.Client!.Signal(2, 0));
    }

    [Fact]
    public void A_reset_has_no_payload()
    {
        Greet();
        Assert.Equal(Wire.Reply(2, Reset, new Wire()), _peer.Ask(Wire.Command(2, Reset, new Wire())));
        Assert.Contains("reset", _device.Log);
        _device.ResetErrno = Errno.EIO;
        Assert.Equal(Wire.Failure(3, Reset, Errno.EIO), _peer.Ask(Wire.Command(3, Reset, new Wire())));
        Assert.Equal(Wire.Failure(4, Reset, Errno.EINVAL), _peer.Ask(Wire.Command(4, Reset, new Wire().U32(0))));
    }

    [Fact]
    public void What_is_not_there_is_said_and_the_connection_lives_on()
    {
        Greet();
        Assert.Equal(Wire.Failure(2, Feature, Errno.ENOTTY), _peer.Ask(Wire.Command(2, Feature, new Wire().U32(16).U32(1 | 1 << 16))));
        Assert.Equal(Wire.Failure(3, MigRead, Errno.EOPNOTSUPP), _peer.Ask(Wire.Command(3, MigRead, new Wire().U32(4096).U32(4088))));
        Assert.Equal(Wire.Failure(4, MigWrite, Errno.EOPNOTSUPP), _peer.Ask(Wire.Command(4, MigWrite, new Wire().U32(12).U32(4).U32(0))));
        Assert.Equal(Wire.Failure(5, GetRegionIoFds, Errno.EOPNOTSUPP), _peer.Ask(Wire.Command(5, GetRegionIoFds, new Wire().U32(16).U32(0).U32(0).U32(0))));
        Assert.Equal(Wire.Failure(6, 14, Errno.ENOSYS), _peer.Ask(Wire.Command(6, 14, new Wire())));
        Assert.Equal(Wire.Failure(7, 0xFFFF, Errno.ENOSYS), _peer.Ask(Wire.Command(7, 0xFFFF, new Wire().U64(1))));
        Assert.Equal(Wire.Failure(8, DmaRead, Errno.EINVAL), _peer.Ask(Wire.Command(8, DmaRead, new Wire().U64(0).U64(8))));
        Assert.Equal(Wire.Failure(9, DmaWrite, Errno.EINVAL), _peer.Ask(Wire.Command(9, DmaWrite, new Wire().U64(0).U64(0))));
        Assert.Equal(Wire.Failure(10, Version, Errno.EINVAL), _peer.Ask(Wire.Command(10, Version, Wire.Version(0, 0, "{}"))));
        Assert.Equal(Wire.Reply(11, Reset, new Wire()), _peer.Ask(Wire.Command(11, Reset, new Wire())));
    }

    [Fact]
    public void The_servers_accesses_go_between_the_clients_commands()
    {
        Greet();
        byte[] seen = new byte[4];
        bool read = false;
        bool written = false;
        _device.OnWrite = (client, offset) =>
        {
            read = client.Memory.Read(new GuestAddress(0x20_0010), seen);
            written = client.Memory.Write(new GuestAddress(0x20_0FFC), [1, 2, 3, 4]);
        };
        _peer.Ask(Wire.Command(2, DmaMap, Map(0, 0x20_0000, 0x1000, 3)));
        _peer.Send(Wire.Command(3, RegionWrite, new Wire().U64(0).U32(0).U32(4).U32(0xABCD)));

        // Sent before the write is answered, carried out after it.
        _peer.Send(Wire.Command(4, RegionRead, new Wire().U64(0).U32(0).U32(4)));
        Assert.Equal(Wire.Command(0, DmaRead, new Wire().U64(0x20_0010).U64(4)), _peer.Receive());
        _peer.Send(Wire.Reply(0, DmaRead, new Wire().U64(0x20_0010).U64(4).U32(0x7777)));
        Assert.Equal(Wire.Command(1, DmaWrite, new Wire().U64(0x20_0FFC).U64(4).Raw(1, 2, 3, 4)), _peer.Receive());
        _peer.Send(Wire.Reply(1, DmaWrite, new Wire().U64(0x20_0FFC).U64(4)));
        Assert.Equal(Wire.Reply(3, RegionWrite, new Wire().U64(0).U32(0).U32(4)), _peer.Receive());
        Assert.Equal(Wire.Reply(4, RegionRead, new Wire().U64(0).U32(0).U32(4).U32(0xABCD)), _peer.Receive());
        Assert.True(read && written);
        Assert.Equal([0x77, 0x77, 0, 0], seen);
    }

    [Theory]
    [InlineData("short", false)]
    [InlineData("twelve", true)]
    [InlineData("error", false)]
    [InlineData("elsewhere", false)]
    public void What_answers_a_servers_write_is_looked_at(string kind, bool good)
    {
        Greet();
        bool written = false;
        _device.OnWrite = (client, _) => written = client.Memory.Write(new GuestAddress(0x20_0000), [1, 2, 3, 4]);
        _peer.Ask(Wire.Command(2, DmaMap, Map(0, 0x20_0000, 0x1000, 3)));
        _peer.Send(Wire.Command(3, RegionWrite, new Wire().U64(0).U32(0).U32(4).U32(0)));
        _peer.Receive();
        _peer.Send(kind switch
        {
            "short" => Wire.Reply(0, DmaWrite, new Wire().U64(0x20_0000)),
            "twelve" => Wire.Reply(0, DmaWrite, new Wire().U64(0x20_0000).U32(4)),
            "error" => Wire.Failure(0, DmaWrite, Errno.EFAULT),
            _ => Wire.Reply(0, DmaWrite, new Wire().U64(0x20_0008).U64(4)),
        });
        Assert.Equal(Wire.Reply(3, RegionWrite, new Wire().U64(0).U32(0).U32(4)), _peer.Receive());
        Assert.Equal(good, written);
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(15u)]
    [InlineData(0x10_0021u)]
    [InlineData(uint.MaxValue)]
    public void A_size_that_no_message_has_ends_the_connection(uint size)
    {
        Greet();
        _peer.Send(new Wire().U16(1).U16(GetInfo).U32(size).U32(0).U32(0).Bytes);
        Assert.True(_peer.IsClosed());
        _device.Await("disconnected");
    }

    [Theory]
    [InlineData(1u)]
    [InlineData(2u)]
    [InlineData(15u)]
    public void What_is_no_command_and_no_awaited_reply_ends_the_connection(uint flags)
    {
        Greet();
        _peer.Send(Wire.Message(1, GetInfo, flags, new Wire().U32(16).U32(0).U32(0).U32(0)));
        Assert.True(_peer.IsClosed());
        _device.Await("disconnected");
    }

    private static Wire Map(ulong offset, ulong address, ulong size, uint flags) => new Wire().U32(32).U32(flags).U64(offset).U64(address).U64(size);

    private static Wire Unmap(ulong address, ulong size) => new Wire().U32(24).U32(0).U64(address).U64(size);

    private void Greet()
    {
        _peer.Ask(Wire.Command(1, Version, Wire.Version(0, 1, """{"capabilities":{"max_msg_fds":8}}""")));
        _device.Await("connected");
    }
}
