using System.Buffers.Binary;
using Aperture.Assignment;
using Aperture.Linux;
using Aperture.Memory;
using Aperture.VfioUser.Client;
using Aperture.VfioUser.Server;

namespace Aperture.VfioUser.Tests;

/// <summary>A device whose server goes and comes back at its socket.</summary>
public sealed class ReturnTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly Reports _reports = new();
    private readonly RamBlock _ram = RamBlock.Create("ram", 0x10_0000, shared: true);
    private readonly GuestMemory _memory;
    private readonly EventFd _lost = new();
    private ServedSample? _served;
    private VfioUserServer? _server;

    public ReturnTests()
    {
        _memory = new GuestMemory(_ram);
        Start();
    }

    private string Path => _folder.In("s");

    public void Dispose()
    {
        Stop();
        _ram.Dispose();
        _lost.Dispose();
        _folder.Dispose();
    }

    [Fact]
    public void A_device_is_away_until_a_reset_finds_its_server_which_has_what_the_one_before_had()
    {
        using VfioUserDevice device = Connect();
        Assert.True(device.WhenLost(_lost.Signal));
        AddressRange first = new(GuestAddress.Zero, 0x4000);
        AddressRange second = new(new GuestAddress(0x10_0000), 0x1000);
        Assert.Equal(0, device.Iommu.Map(first, _ram.HostAddress, true));
        Assert.Equal(0, device.Iommu.Map(second, _ram.HostAddress + 0x8000, false));
        Assert.False(device.IsAway);

        Stop();
        Told(1);
        Assert.True(device.IsAway);
        Assert.True(SpinWait.SpinUntil(() => _lost.TryTake(out _), 20_000), "the loss is told");
        Assert.NotEqual(0, device.Read(0, 0, new byte[4]));
        Assert.NotEqual(0, device.Reset());

        // What is mapped and unmapped meanwhile counts.
        AddressRange third = new(new GuestAddress(0x20_0000), 0x2000);
        Assert.Equal(0, device.Iommu.Unmap(second));
        Assert.Equal(0, device.Iommu.Map(third, _ram.HostAddress + 0x6000, true));

        Start();
        Assert.True(device.IsAway);
        Assert.Equal(0, device.Reset());
        Assert.False(device.IsAway);
        Assert.Equal(0, device.Write(0, 0x20, [1, 2, 3, 4]));
        Assert.Equal(0, device.Read(0, 0x20, new byte[4]));
        Assert.Equal([1, 2, 3, 4], _served!.Registers[0x20..0x24]);
        _ram.Write(0x123, 0xAABB_CCDDu);
        _ram.Write(0x6ABC, 0x1122_3344u);
        Assert.Equal((true, 0xAABB_CCDDu), Seen(0x123));
        Assert.Equal((true, 0x1122_3344u), Seen(0x20_0ABC));
        Assert.False(Seen(0x10_0000).Reached);
        Assert.Equal(
            [
                $"the server of {Path} ended the connection (EPIPE); the guest reads all-ones from its device.",
                $"the server of {Path} is back; its device is as after a reset, so the guest has to look for it again, or be reset.",
            ],
            _reports.Notices);
        Assert.Equal(0, device.Iommu.Unmap(first));
        Assert.False(Seen(0x123).Reached);
    }

    [Fact]
    public void Memory_that_is_mapped_of_a_device_is_the_next_server_s_at_the_same_place()
    {
        using VfioUserDevice device = Connect();
        using RamBlock mapped = device.Map(2, new VfioArea(0x1000, 0x1000));
        Put(0x11);
        Assert.Equal(0x11, Look(mapped));
        Stop();
        Told(1);
        Start();
        Put(0x22);
        Assert.Equal(0x11, Look(mapped));
        Assert.Equal(0, device.Reset());
        Assert.Equal(0x22, Look(mapped));

        // What the server says of its file is that one's: offset 0x2000 of the file is the region's start.
        void Put(byte value)
        {
            Assert.Equal(0, MemoryMap.MapShared(_served!.File, ServedSample.MemoryOffset + 0x1000, 0x1000, true, out HostAddress there));
            Assert.Equal(0, GuardedCopy.TryWrite(there, [value]));
            Assert.Equal(0, MemoryMap.Unmap(there, 0x1000));
        }

        static byte Look(RamBlock block)
        {
            byte[] seen = new byte[1];
            Assert.Equal(0, GuardedCopy.TryRead(block.HostAddress, seen));
            return seen[0];
        }
    }

    [Theory]
    [InlineData("regions", "region 2 of 32K instead of 32K, or other areas to map in it")]
    [InlineData("ids", "other ids")]
    public void Another_device_at_the_socket_is_not_taken_and_told_once(string what, string difference)
    {
        using VfioUserDevice device = Connect();
        Stop();
        Told(1);
        Start(mappable: what != "regions");
        if (what == "ids")
        {
            BinaryPrimitives.WriteUInt32LittleEndian(_served!.Config, 0x0DEF_1AB5);
        }

        Assert.NotEqual(0, device.Reset());
        Assert.NotEqual(0, device.Reset());
        Assert.True(device.IsAway);
        Assert.Equal(
            $"the server of {Path} is back with another device ({difference}), which the guest does not get; serve the old one there again, or detach "
                + "the device and attach it anew.",
            Assert.Single(_reports.Notices.Skip(1)));
        Stop();
        Start();
        Assert.Equal(0, device.Reset());
        Assert.False(device.IsAway);
    }

    [Fact]
    public void A_device_that_is_not_to_come_back_or_whose_search_has_ended_does_not()
    {
        using VfioUserDevice device = Connect();
        device.EndSearch();
        Stop();
        Told(1);
        Start();
        Assert.NotEqual(0, device.Reset());
        using VfioUserDevice plain = VfioUserDevice.Connect(Path, _reports);
        Assert.False(plain.WhenLost(_lost.Signal));
        Stop();
        Told(2);
        Start();
        Assert.False(plain.IsAway);
        Assert.True(plain.IsDead);
        Assert.NotEqual(0, plain.Reset());
    }

    [Fact]
    public void Memory_that_a_server_cuts_is_all_ones_once_and_the_device_lives()
    {
        Stop();
        using TemporaryFile file = new(new byte[0x1_0000]);
        _served = ServedSample.Function(mappable: true, FileDescriptors.Open(file.Path, OpenFlags.ReadWrite));
        _server = VfioUserServer.Listen(Path, _served, new Reports());
        using VfioUserDevice device = Connect();
        using RamBlock mapped = device.Map(5, new VfioArea(0, 0x2000));
        Assert.Empty(device.ReplaceMissing());
        using (FileStream stream = File.OpenWrite(file.Path))
        {
            stream.SetLength(0x1000);
        }

        byte[] seen = [0];
        Assert.NotEqual(0, GuardedCopy.TryRead(mapped.HostAddress + 0x1000, seen));
        Assert.Equal([new MissingMemory($"{Path} region 5", 0x1000, 0x1000)], device.ReplaceMissing());
        Assert.Empty(device.ReplaceMissing());
        Assert.Equal((0, 0xFF), (GuardedCopy.TryRead(mapped.HostAddress + 0x1000, seen), seen[0]));
        Assert.Equal((0, 0), (GuardedCopy.TryRead(mapped.HostAddress, seen), seen[0]));
        Assert.Equal(0, device.Read(0, 0, new byte[4]));
    }

    [Fact]
    public void Nothing_is_left_of_servers_that_came_and_went()
    {
        using VfioUserDevice device = Connect();
        using RamBlock mapped = device.Map(2, new VfioArea(0x1000, 0x1000));
        Assert.Equal(0, device.Iommu.Map(new AddressRange(GuestAddress.Zero, 0x4000), _ram.HostAddress, true));
        Cycle();
        int before = Directory.GetFiles("/proc/self/fd").Length;
        for (int i = 0; i < 20; i++)
        {
            Cycle();
        }

        Assert.InRange(Directory.GetFiles("/proc/self/fd").Length, 0, before + 5);

        void Cycle()
        {
            int told = _reports.Notices.Count;
            Stop();
            Told(told + 1);
            Assert.NotEqual(0, device.Reset());
            Start();
            Assert.Equal(0, device.Reset());
        }
    }

    private VfioUserDevice Connect() =>
        VfioUserDevice.Connect(Path, _reports, _memory, new SharedBlocks(_ram), new ClientOptions { Reconnects = true });

    private void Told(int notices) => Assert.True(SpinWait.SpinUntil(() => _reports.Notices.Count >= notices, 20_000), "the end is told");

    private void Start(bool mappable = true)
    {
        _served = ServedSample.Function(mappable);
        _server = VfioUserServer.Listen(Path, _served, new Reports());
    }

    private void Stop()
    {
        _server?.Dispose();
        _served?.Dispose();
        (_server, _served) = (null, null);
    }

    private (bool Reached, uint Value) Seen(ulong address)
    {
        byte[] bytes = new byte[4];
        bool reached = _served!.Client!.Memory.Read(new GuestAddress(address), bytes);
        return (reached, BinaryPrimitives.ReadUInt32LittleEndian(bytes));
    }

    /// <summary>Guest memory by messages; what is shared is never asked for here.</summary>
    private sealed class GuestMemory(RamBlock ram) : IDma
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
