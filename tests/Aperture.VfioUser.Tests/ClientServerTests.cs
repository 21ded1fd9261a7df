using Aperture.Assignment;
using Aperture.Linux;
using Aperture.Linux.Net;
using Aperture.Memory;
using Aperture.VfioUser.Client;
using Aperture.VfioUser.Protocol;
using Aperture.VfioUser.Server;
using Aperture.VfioUser.Transport;

namespace Aperture.VfioUser.Tests;

/// <summary>The client against the server: the device that comes out is the device that went in.</summary>
public sealed class ClientServerTests : IDisposable
{
    private readonly Reports _reports = new();
    private readonly Reports _serverReports = new();
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Regions_and_interrupts_arrive_as_they_are()
    {
        using Session session = new(this);
        VfioUserDevice device = session.Device;
        Assert.True(device.CanReset);
        Assert.Equal(9, device.Regions.Count);
        Assert.Equal([0x1000UL, 0, 0x8000, 0x100, 0, 0x2000, 0, 256, 0], device.Regions.Select(r => r.Size));
        Assert.Equal([new VfioArea(0x1000, 0x1000), new VfioArea(0x3000, 0x1000)], device.Regions[2].Areas);
        Assert.Equal([new VfioArea(0, 0x2000)], device.Regions[5].Areas);
        Assert.False(device.Regions[3].Writable);
        Assert.Equal(session.Served.Irqs, device.Irqs);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Registers_hold_what_is_written_whether_writes_are_posted_or_not(bool mappable)
    {
        using Session session = new(this, mappable: mappable);
        byte[] read = new byte[8];
        for (int i = 0; i < 100; i++)
        {
            Assert.Equal(0, session.Device.Write(0, (ulong)(8 * i), BitConverter.GetBytes(0x1111_0000_0000L + i)));
            Assert.Equal(0, session.Device.Read(0, (ulong)(8 * i), read));
            Assert.Equal(0x1111_0000_0000L + i, BitConverter.ToInt64(read));
        }
    }

    [Fact]
    public void An_access_outside_is_all_ones_and_asks_nobody()
    {
        using Session session = new(this);
        byte[] read = new byte[4];
        Assert.Equal(Errno.EINVAL, session.Device.Read(0, 0xFFE, read));
        Assert.Equal([0xFF, 0xFF, 0xFF, 0xFF], read);
        Assert.Equal(Errno.EINVAL, session.Device.Read(77, 0, read));
        Assert.Equal(Errno.EINVAL, session.Device.Read(-1, 0, read));
        Assert.Equal(Errno.EINVAL, session.Device.Write(0, ulong.MaxValue, read));
        Assert.Equal(Errno.EINVAL, session.Device.Write(3, 0, read));
        Assert.Equal(0, session.Device.Read(0, 0, read));
    }

    [Fact]
    public void What_is_longer_than_a_message_may_be_goes_in_several()
    {
        using Session session = new(this, limits: new ServerLimits { MaxTransfer = 100 });
        byte[] written = new byte[0x1000];
        new Random(5).NextBytes(written);
        byte[] read = new byte[0x1000];
        Assert.Equal(0, session.Device.Write(0, 0, written));
        Assert.Equal(0, session.Device.Read(0, 0, read));
        Assert.Equal(written, read);
    }

    [Fact]
    public void A_mapped_area_is_the_servers_memory()
    {
        using Session session = new(this);
        using RamBlock block = session.Device.Map(2, new VfioArea(0x3000, 0x1000));
        Assert.True(block.IsForeign);
        Assert.Equal(0, FileDescriptors.TryWriteAt(session.Served.File, ServedSample.MemoryOffset + 0x3010, [1, 2, 3, 4]) - 4);
        byte[] seen = new byte[4];
        Assert.Equal(0, GuardedCopy.TryRead(block.HostAddress + 0x10, seen));
        Assert.Equal([1, 2, 3, 4], seen);
        Assert.Throws<ArgumentOutOfRangeException>(() => session.Device.Map(2, new VfioArea(0, 0x1000)));
        Assert.Throws<ArgumentOutOfRangeException>(() => session.Device.Map(0, new VfioArea(0, 0x1000)));
        Assert.Throws<ArgumentOutOfRangeException>(() => session.Device.Map(2, new VfioArea(0x3000, 0x2000)));
    }

    [Fact]
    public void Interrupts_arrive_and_more_vectors_than_fit_a_message_do_too()
    {
        using Session session = new(this, limits: new ServerLimits { MaxDescriptors = 3 });
        using EventFd one = new();
        using EventFd two = new();
        EventFd?[] triggers = [one, one, null, null, two, one, one, two];
        Assert.Equal(0, session.Device.SetTriggers(VfioIrqIndex.Msix, 0, triggers));
        IDeviceClient client = session.Served.Client!;
        Assert.Equal([true, true, false, false, true, true, true, true], Enumerable.Range(0, 8).Select(v => client.Signal(VfioIrqIndex.Msix, v)));
        Assert.True(one.TryTake(out ulong ones) & two.TryTake(out ulong twos));
        Assert.Equal((4UL, 2UL), (ones, twos));
        Assert.Equal(Errno.EINVAL, session.Device.SetTriggers(VfioIrqIndex.Msix, 1, triggers));
        Assert.Equal(0, session.Device.DisableIrqs(VfioIrqIndex.Msix));
        Assert.False(client.Signal(VfioIrqIndex.Msix, 0));
    }

    [Fact]
    public void Intx_is_unmasked_by_an_eventfd()
    {
        using Session session = new(this);
        using EventFd trigger = new();
        using EventFd unmask = new();
        Assert.Equal(0, session.Device.SetTriggers(VfioIrqIndex.Intx, 0, [trigger]));
        Assert.Equal(0, session.Device.SetIntxUnmask(unmask));
        session.Served.Client!.SetIntx(true);
        Assert.True(trigger.TryTake(out _));
        unmask.Signal();
        Assert.True(SpinWait.SpinUntil(() => trigger.TryTake(out _), 20_000));
        Assert.Equal(0, session.Device.SetIntxUnmask(null));
        session.Served.Client.SetIntx(false);
        Assert.Equal(0, session.Device.SetIntxMask(true));
        session.Served.Client.SetIntx(true);
        Assert.False(trigger.TryTake(out _));
        Assert.Equal(0, session.Device.SetIntxMask(false));
        Assert.True(trigger.TryTake(out _));
    }

    [Fact]
    public void Shared_memory_is_reached_directly_and_other_memory_by_messages()
    {
        foreach (bool twin in new[] { true, false })
        {
            using RamBlock ram = RamBlock.Create("ram", 0x10_0000, shared: true);
            Dma memory = new(ram);
            using Session session = new(this, memory, new SharedBlocks(ram), options: new ClientOptions { TwinSocket = twin });
            IIommuMap iommu = session.Device.Iommu;
            AddressRange shared = new(new GuestAddress(0x1000), 0x3000);
            AddressRange own = new(new GuestAddress(0x4000), 0x1000);
            Assert.Equal(0, iommu.Map(shared, ram.HostAddress + 0x1000, writable: true));
            Assert.Equal(0, iommu.Map(own, default, writable: false));
            ram.Write(0x3FFC, 0x1122_3344u);
            ram.Write(0x4000, 0x5566_7788u);
            IDma dma = session.Served.Client!.Memory;

            // Across both runs, from a thread of the device.
            byte[] seen = new byte[8];
            Assert.True(dma.Read(new GuestAddress(0x3FFC), seen));
            Assert.Equal(0x5566_7788_1122_3344, BitConverter.ToInt64(seen));
            Assert.True(dma.Write(new GuestAddress(0x1004), [9, 8, 7, 6]));
            Assert.Equal(0x0607_0809u, ram.Read<uint>(0x1004));
            Assert.Equal(1, memory.Accesses);

            // Not what was not given, nor a write to what may be read only.
            Assert.False(dma.Read(new GuestAddress(0xFFC), seen));
            Assert.False(dma.Read(new GuestAddress(0x4FFC), seen));
            Assert.False(dma.Write(new GuestAddress(0x4000), seen));
            Assert.Equal(Errno.EEXIST, iommu.Map(new AddressRange(new GuestAddress(0x2000), 0x8000), ram.HostAddress, true));
            Assert.Equal(Errno.ENOENT, iommu.Unmap(new AddressRange(shared.Start, 0x1000)));
            Assert.Equal(0, iommu.Unmap(shared));
            Assert.False(dma.Read(new GuestAddress(0x1000), seen));
            Assert.Equal(0, iommu.Unmap(own));
            Assert.False(dma.Read(new GuestAddress(0x4000), seen));
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_register_write_may_reach_memory_before_it_is_answered(bool twin)
    {
        using RamBlock ram = RamBlock.Create("ram", 0x10_0000);
        using Session session = new(this, new Dma(ram), options: new ClientOptions { TwinSocket = twin, PostWrites = false });
        AddressRange all = new(GuestAddress.Zero, 0x10_0000);
        Assert.Equal(0, session.Device.Iommu.Map(all, ram.HostAddress, writable: true));
        byte[] large = new byte[0x8_0000];
        new Random(3).NextBytes(large);
        session.Served.OnWrite = (client, offset) =>
        {
            byte[] back = new byte[large.Length];
            Assert.True(client.Memory.Write(new GuestAddress(offset), large));
            Assert.True(client.Memory.Read(new GuestAddress(offset), back));
            Assert.Equal(large, back);
        };
        for (ulong i = 0; i < 8; i++)
        {
            Assert.Equal(0, session.Device.Write(0, 8 * i, [1, 2, 3, 4, 5, 6, 7, 8]));
            Assert.Equal(large, ram.AsSpan(8 * i, large.Length));
        }

        byte[] read = new byte[8];
        Assert.Equal(0, session.Device.Read(0, 56, read));
        Assert.Equal([1, 2, 3, 4, 5, 6, 7, 8], read);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Accesses_of_both_sides_at_once_end_all(bool twin)
    {
        using RamBlock ram = RamBlock.Create("ram", 0x10_0000);
        using Session session = new(this, new Dma(ram), options: new ClientOptions { TwinSocket = twin });
        Assert.Equal(0, session.Device.Iommu.Map(new AddressRange(GuestAddress.Zero, 0x10_0000), ram.HostAddress, writable: true));
        IDma dma = session.Served.Client!.Memory;
        Parallel.For(0, 6, worker =>
        {
            byte[] bytes = new byte[8];
            for (int i = 0; i < 300; i++)
            {
                ulong at = (ulong)(worker * 8);
                if (worker % 2 == 0)
                {
                    Assert.Equal(0, session.Device.Write(0, at, BitConverter.GetBytes((long)i)));
                    Assert.Equal(0, session.Device.Read(0, at, bytes));
                }
                else
                {
                    Assert.True(dma.Write(new GuestAddress(at), BitConverter.GetBytes((long)i)));
                    Assert.True(dma.Read(new GuestAddress(at), bytes));
                }

                Assert.Equal(i, BitConverter.ToInt64(bytes));
            }
        });
        Assert.False(session.Device.IsDead);
    }

    [Fact]
    public void A_reset_is_the_devices_own()
    {
        using Session session = new(this);
        Assert.Equal(0, session.Device.Reset());
        Assert.Contains("reset", session.Served.Log);
        session.Served.ResetErrno = Errno.EBUSY;
        Assert.Equal(Errno.EBUSY, session.Device.Reset());
        Assert.False(session.Device.IsDead);
    }

    [Fact]
    public void A_server_that_dies_leaves_a_dead_device_and_one_report()
    {
        using Session session = new(this);
        session.Server.Dispose();
        _reports.Await("vfio-user.gone");
        byte[] read = new byte[4];
        Assert.NotEqual(0, session.Device.Read(0, 0, read));
        Assert.Equal([0xFF, 0xFF, 0xFF, 0xFF], read);
        Assert.NotEqual(0, session.Device.Write(0, 0, read));
        Assert.NotEqual(0, session.Device.Reset());
        Assert.NotEqual(0, session.Device.SetTriggers(2, 0, [null]));
        Assert.NotEqual(0, session.Device.DisableIrqs(2));

        // The book of mappings goes on: the view changes as before.
        AddressRange range = new(GuestAddress.Zero, 0x1000);
        Assert.Equal(0, session.Device.Iommu.Map(range, default, true));
        Assert.Equal(0, session.Device.Iommu.Unmap(range));
        Assert.Single(_reports.Notices);
        Assert.True(session.Device.IsDead);
    }

    [Fact]
    public void A_device_that_throws_ends_its_session_with_a_sentence()
    {
        using Session session = new(this, options: new ClientOptions { PostWrites = false });
        session.Served.OnWrite = (_, _) => throw new InvalidOperationException("the mediator has a bug");
        Assert.NotEqual(0, session.Device.Write(0, 0, [1, 2, 3, 4]));
        _serverReports.Await("vfio-user.ended");
        Assert.Equal(["the connection of a client was ended: the device failed: the mediator has a bug."], _serverReports.Notices);
        session.Served.Await("disconnected");
        session.Served.OnWrite = null;
        using VfioUserDevice next = VfioUserDevice.Connect(session.Path, _reports);
        Assert.Equal(0, next.Write(0, 0, [1, 2, 3, 4]));
    }

    [Fact]
    public void A_client_that_comes_back_finds_the_devices_state_and_none_of_its_memory()
    {
        using RamBlock ram = RamBlock.Create("ram", 0x10_0000, shared: true);
        using Session session = new(this, new Dma(ram), new SharedBlocks(ram));
        Assert.Equal(0, session.Device.Iommu.Map(new AddressRange(GuestAddress.Zero, 0x1000), ram.HostAddress, true));
        Assert.Equal(0, session.Device.Write(0, 0, [1, 2, 3, 4]));
        Assert.Equal(0, session.Device.Read(0, 0, new byte[4]));
        IDma before = session.Served.Client!.Memory;
        Assert.True(before.Read(GuestAddress.Zero, new byte[4]));
        session.Device.Dispose();
        session.Served.Await("disconnected");
        Assert.False(before.Read(GuestAddress.Zero, new byte[4]));
        using VfioUserDevice again = VfioUserDevice.Connect(session.Path, _reports);
        byte[] read = new byte[4];
        Assert.Equal(0, again.Read(0, 0, read));
        Assert.Equal([1, 2, 3, 4], read);
        Assert.False(session.Served.Client.Memory.Read(GuestAddress.Zero, read));
        Assert.Empty(_reports.Notices);
    }

    [Fact]
    public void A_register_access_allocates_nothing_in_the_client()
    {
        using Session session = new(this, mappable: false);
        byte[] bytes = new byte[4];
        Allocations.None(
            () =>
            {
                session.Device.Write(0, 0x10, bytes);
                session.Device.Read(0, 0x10, bytes);
            },
            2000);
    }

    [Fact]
    public void A_register_access_allocates_nothing_in_the_server()
    {
        using ServedSample sample = new();
        using IrqTable irqs = new(sample.Irqs);
        using RawPeer peer = RawPeer.Pair(out SafeFileDescriptor other);
        using MessageSocket socket = new(other);
        DeviceCommands commands = new(sample, irqs, new DmaTable(1), 4096);
        byte[] read = new Wire().U64(0x10).U32(7).U32(4).Bytes;
        byte[] write = new Wire().U64(0x10).U32(7).U32(4).U32(3).Bytes;
        MessageHeader header = new(1, VfioUserCommand.RegionRead, 32, MessageFlags.Command, 0);
        byte[] taken = new byte[4096];
        Allocations.None(
            () =>
            {
                commands.CarryOut(VfioUserCommand.RegionWrite, write, MessageDescriptors.None);
                int errno = commands.CarryOut(VfioUserCommand.RegionRead, read, MessageDescriptors.None);
                commands.Send(socket, header, errno);
                FileDescriptors.TryRead(peer.Socket, taken);
                FileDescriptors.TryWrite(peer.Socket, taken.AsSpan(0, 36));
                socket.Receive(out _, out _);
            },
            2000);
    }

    [Fact]
    public void A_socket_that_nobody_serves_is_replaced_and_one_in_use_is_not()
    {
        using ServedSample sample = new();
        string path = Path.Combine(_folder.Path, "a.sock");
        Assert.Equal(0, UnixSocket.TryListen(path, 1, out SafeFileDescriptor leftOver));
        Assert.Contains(path, Assert.Throws<LinuxException>(() => VfioUserServer.Listen(path, sample, _reports)).Message, StringComparison.Ordinal);
        leftOver.Dispose();
        using (VfioUserServer server = VfioUserServer.Listen(path, sample, _reports))
        {
            using VfioUserDevice device = VfioUserDevice.Connect(path, _reports);
            Assert.Equal(9, device.Regions.Count);
        }

        Assert.False(File.Exists(path));
        File.WriteAllText(path, "not a socket");
        Assert.Throws<LinuxException>(() => VfioUserServer.Listen(path, sample, _reports));
        Assert.Equal("not a socket", File.ReadAllText(path));
        Assert.Contains("--socket-path", Assert.Throws<LinuxException>(() => VfioUserDevice.Connect(path, _reports)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_listening_descriptor_is_served_like_a_path()
    {
        using ServedSample sample = new();
        string path = Path.Combine(_folder.Path, "b.sock");
        Assert.Equal(0, UnixSocket.TryListen(path, 1, out SafeFileDescriptor listening));
        using VfioUserServer server = VfioUserServer.FromDescriptor(listening, sample, _reports);
        for (int i = 0; i < 2; i++)
        {
            using VfioUserDevice device = VfioUserDevice.Connect(path, _reports);
            Assert.Equal(0, device.Read(7, 0, new byte[4]));
        }

        using EventFd none = new();
        Assert.Throws<LinuxException>(() => VfioUserServer.FromDescriptor(none.Descriptor, sample, _reports));
    }

    /// <summary>A served device and a client of it.</summary>
    private sealed class Session : IDisposable
    {
        public Session(
            ClientServerTests test,
            IDma? memory = null,
            ISharedMemory? shared = null,
            bool mappable = true,
            ServerLimits? limits = null,
            ClientOptions? options = null)
        {
            Served = new ServedSample(mappable);
            Path = System.IO.Path.Combine(test._folder.Path, $"{Guid.NewGuid():N}.sock");
            Server = VfioUserServer.Listen(Path, Served, test._serverReports, limits);
            Device = VfioUserDevice.Connect(Path, test._reports, memory, shared, options);
            Served.Await("connected");
        }

        public string Path { get; }

        public ServedSample Served { get; }

        public VfioUserServer Server { get; }

        public VfioUserDevice Device { get; }

        public void Dispose()
        {
            Device.Dispose();
            Server.Dispose();
            Served.Dispose();
        }
    }

    private sealed class Dma(RamBlock ram) : IDma
    {
        private int _accesses;

        public int Accesses => _accesses;

        public bool Read(GuestAddress address, Span<byte> destination)
        {
            Interlocked.Increment(ref _accesses);
            ram.Read(address.Value, destination);
            return true;
        }

        public bool Write(GuestAddress address, ReadOnlySpan<byte> source)
        {
            Interlocked.Increment(ref _accesses);
            ram.Write(address.Value, source);
            return true;
        }
    }
}
