using System.Buffers.Binary;
using Aperture.Assignment;
using Aperture.Linux;
using Aperture.Memory;
using Aperture.TestKit.Parts.Assigned;
using Aperture.VfioUser.Client;
using Aperture.VfioUser.Server;

namespace Aperture.VfioUser.Tests;

/// <summary>A device that another process serves is an assigned device like any other: the guest's side of it is the same code.</summary>
public sealed class AssignedTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly Reports _reports = new();
    private readonly FakeGuest _guest = new();
    private readonly AssignedLog _log = new();
    private readonly ServedSample _served = ServedSample.Function(mappable: true);
    private readonly VfioUserServer _server;
    private readonly AssignedFunction _function;

    public AssignedTests()
    {
        string path = Path.Combine(_folder.Path, "s");
        _server = VfioUserServer.Listen(path, _served, _reports);
        _function = new AssignedFunction(VfioUserDevice.Connect(path, _reports), new AssignedOptions("served"), _guest, _log);
    }

    public void Dispose()
    {
        _function.Dispose();
        _server.Dispose();
        _served.Dispose();
        _folder.Dispose();
    }

    [Fact]
    public void The_guest_finds_the_function_and_reaches_its_registers()
    {
        Assert.Equal(0x0DEF_1AB4u, _function.ReadConfig(0, 4));
        Assert.Equal([(0, 0x1000UL), (2, 0x8000UL), (3, 0x100UL), (5, 0x2000UL)], _function.Bars.Select(b => (b.Index, b.Size)));
        IAccessHandler registers = _function.PartsOf(_function.FindBar(0)!)[0].Region.Handler!;
        Assert.Equal(AccessResult.Ok, registers.Write(0x20, 4, 0xDEAD_BEEF));
        Assert.Equal(AccessResult.Ok, registers.Read(0x20, 4, out ulong value));
        Assert.Equal(0xDEAD_BEEFu, value);
        Assert.Equal(0xDEAD_BEEF, BinaryPrimitives.ReadUInt32LittleEndian(_served.Registers.AsSpan(0x20)));
    }

    [Fact]
    public void Areas_that_can_be_mapped_are_memory_and_the_rest_traps()
    {
        (ulong, RegionKind)[] parts = [.. _function.PartsOf(_function.FindBar(2)!).Select(p => (p.Offset, p.Region.Kind))];
        Assert.Equal(
            [
                (0UL, RegionKind.Trapped), (0x1000UL, RegionKind.Device), (0x2000UL, RegionKind.Trapped), (0x3000UL, RegionKind.Device),
                (0x4000UL, RegionKind.Trapped),
            ],
            parts);
    }

    [Fact]
    public void Its_vectors_reach_the_guest()
    {
        _function.WriteConfig(0x04, 2, 6);
        IAccessHandler table = _function.PartsOf(_function.FindBar(0)!).First(p => p.Region.Name.Contains("msix-table", StringComparison.Ordinal)).Region.Handler!;
        table.Write(0x30, 4, 0xFEE0_1000);
        table.Write(0x38, 4, 0x45);
        table.Write(0x3C, 4, 0);
        _function.WriteConfig(0x40, 4, 0x8007_0011);
        Assert.True(_served.Client!.Signal(VfioIrqIndex.Msix, 3));
        Assert.Equal([new MsiMessage(new GuestAddress(0xFEE0_1000), 0x45)], _guest.Connected);
    }

    [Fact]
    public void A_server_that_dies_leaves_a_function_that_reads_all_ones_and_throws_nothing()
    {
        IAccessHandler registers = _function.PartsOf(_function.FindBar(0)!)[0].Region.Handler!;
        _server.Dispose();
        Assert.Equal(AccessResult.Ok, registers.Read(0, 4, out ulong value));
        Assert.Equal(0xFFFF_FFFFu, value);
        registers.Write(0, 4, 1);
        _function.WriteConfig(0x04, 2, 6);
        Assert.Equal(uint.MaxValue, _function.ReadConfig(0, 4));
        Assert.True(_function.IsGone);
        Assert.Equal(1, _log.Gone);
    }

    [Fact]
    public void The_listener_gives_it_the_memory_that_the_guest_sees()
    {
        using RamBlock ram = RamBlock.Create("ram", 0x40_0000, shared: true);
        string path = Path.Combine(_folder.Path, "t");
        using ServedSample served = ServedSample.Function(mappable: false);
        using VfioUserServer server = VfioUserServer.Listen(path, served, _reports);
        using VfioUserDevice device = VfioUserDevice.Connect(path, _reports, null, new SharedBlocks(ram));
        using AddressSpace space = AddressSpace.ForMemory();
        Region region = Region.ForRam("ram", ram, 0, 0x40_0000, mustBeMapped: true);
        using (AddressChange change = space.Begin())
        {
            change.Place(region, GuestAddress.Zero, 0);
            change.Commit();
        }

        IommuListener listener = new(device.Iommu, () => false);
        space.AddListener(listener);
        ram.Write(0x20_0000, 0x1234_5678u);
        byte[] seen = new byte[4];
        Assert.True(served.Client!.Memory.Read(new GuestAddress(0x20_0000), seen));
        Assert.Equal(0x1234_5678u, BinaryPrimitives.ReadUInt32LittleEndian(seen));
        using (AddressChange change = space.Begin())
        {
            change.Remove(region);
            change.Commit();
        }

        Assert.False(served.Client.Memory.Read(new GuestAddress(0x20_0000), seen));
    }

    private sealed class AssignedLog : IAssignedEvents
    {
        public int Gone { get; private set; }

        public void UnplugRequested(AssignedFunction function)
        {
        }

        public void ErrorReported(AssignedFunction function)
        {
        }

        public void DeviceGone(AssignedFunction function, int errno) => Gone++;

        public void ResetFailed(AssignedFunction function, int errno)
        {
        }

        public void ThreadFailed(AssignedFunction function, Exception fault) => Assert.Fail(fault.Message);

        public void InterruptsFailed(AssignedFunction function, int index, int errno) => Assert.Fail($"interrupts {index} failed: {Errno.Name(errno)}");
    }
}
