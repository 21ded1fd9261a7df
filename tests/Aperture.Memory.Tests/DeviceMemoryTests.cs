namespace Aperture.Memory.Tests;

/// <summary>A block over addresses at which nothing is: touching it through any path would end the test process.</summary>
public sealed class DeviceMemoryTests : IDisposable
{
    private const ulong Page = MemorySlot.PageSize;
    private const ulong Size = 16 * Page;

    // Non-canonical: no access to it can succeed by accident.
    private static readonly HostAddress Nowhere = new(0x00DE_AD00_0000_0000);

    private readonly Owner _owner = new();
    private readonly RamBlock _block;
    private readonly ByteDevice _device = new((int)Size);
    private readonly AddressSpace _space = AddressSpace.ForMemory();

    public DeviceMemoryTests() => _block = RamBlock.Foreign("bar", Nowhere, Size, _owner);

    public void Dispose()
    {
        _space.Dispose();
        _block.Dispose();
    }

    [Fact]
    public void Every_access_through_a_foreign_block_is_refused()
    {
        byte[] bytes = new byte[8];
        Assert.Throws<InvalidOperationException>(() => { _ = _block.AsSpan(0, 8); });
        Assert.Throws<InvalidOperationException>(() => { _ = _block.Read<ulong>(0); });
        Assert.Throws<InvalidOperationException>(() => _block.Write(8, 1U));
        Assert.Throws<InvalidOperationException>(() => _block.Read(Page, bytes));
        Assert.Throws<InvalidOperationException>(() => _block.Write(Size - 8, bytes.AsSpan()));
        Assert.True(_block.IsForeign);
    }

    [Fact]
    public void A_foreign_blocks_owner_is_disposed_once_with_the_block()
    {
        _block.Dispose();
        _block.Dispose();
        Assert.Equal(1, _owner.Disposals);
        Assert.Throws<ObjectDisposedException>(() => { _ = _block.Read<byte>(0); });
    }

    [Fact]
    public void A_space_does_not_keep_a_devices_memory_so_a_removed_device_can_go_while_the_space_lives()
    {
        Region region = Place(0x1000_0000);
        Remove(region);
        _block.Dispose();
        Assert.Equal(1, _owner.Disposals);
    }

    [Fact]
    public void Foreign_memory_is_no_RAM_and_own_memory_no_devices()
    {
        using RamBlock own = RamBlock.Create("own", Size);
        Assert.Throws<ArgumentException>(() => Region.ForRam("r", _block, 0, Page));
        Assert.Throws<ArgumentException>(() => Region.ForRom("r", _block, 0, Page));
        Assert.Throws<ArgumentException>(() => Region.ForDevice("r", own, 0, Page, _device));
        Assert.Throws<ArgumentOutOfRangeException>(() => Region.ForDevice("r", _block, Page, Size, _device));
    }

    [Fact]
    public void A_device_region_gets_slots_like_RAM_where_pages_allow()
    {
        FakeSlots slots = new(8);
        SlotListener listener = new(slots);
        _space.AddListener(listener);
        Region region = Region.ForDevice("bar", _block, Page, (4 * Page) + 512, _device);
        Change(change => change.Place(region, new GuestAddress(0x1000_0000), 1));
        MemorySlot slot = Assert.Single(slots.Table.Values);
        Assert.Equal(new MemorySlot(new AddressRange(new GuestAddress(0x1000_0000), 4 * Page), Nowhere + Page, false, region), slot);
        Assert.Equal(512UL, Assert.Single(listener.Trapped).Range.Size);
        Assert.Null(listener.Verify());

        Remove(region);
        Assert.Empty(slots.Table);
        Assert.Null(listener.Verify());
    }

    [Fact]
    public void A_device_region_that_the_host_does_not_map_traps_and_is_no_failure()
    {
        FakeSlots slots = new(8) { Fails = static isSet => isSet };
        SlotListener listener = new(slots);
        _space.AddListener(listener);
        Place(0x1000_0000);
        Assert.Equal(Size, Assert.Single(listener.Trapped).Range.Size);
        Dispatcher dispatcher = new(_space, new UnclaimedLog());
        LookupCache cache = default;
        Assert.Equal(AccessResult.Ok, dispatcher.Write(ref cache, new GuestAddress(0x1000_0010), 4, 0x11223344));
        Assert.Equal(0x44, _device.Bytes[0x10]);
    }

    [Fact]
    public void Dispatched_accesses_go_to_the_handler_with_offsets_in_the_region()
    {
        Region region = Place(0x1000_0000);
        Dispatcher dispatcher = new(_space, new UnclaimedLog());
        LookupCache cache = default;
        _device.Bytes[0x20] = 0x5A;
        Assert.Equal(AccessResult.Ok, dispatcher.Read(ref cache, new GuestAddress(0x1000_0020), 1, out ulong value));
        Assert.Equal(0x5AUL, value);

        // Unaligned: in pieces.
        Assert.Equal(AccessResult.Ok, dispatcher.Write(ref cache, new GuestAddress(0x1000_0041), 4, 0xA1B2C3D4));
        Assert.Equal([0xD4, 0xC3, 0xB2, 0xA1], _device.Bytes[0x41..0x45]);
        Assert.Null(_device.Violation);
        Assert.Equal((1UL, 3UL), (region.Reads, region.Writes));
    }

    [Fact]
    public void An_emulated_devices_DMA_to_it_goes_to_the_handler()
    {
        Place(0x1000_0000);
        DmaPort port = new(_space, new Dispatcher(_space, new UnclaimedLog()), static _ => false);
        byte[] bytes = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
        Assert.True(port.Write(new GuestAddress(0x1000_0103), bytes));
        byte[] back = new byte[bytes.Length];
        Assert.True(port.Read(new GuestAddress(0x1000_0103), back));
        Assert.Equal(bytes, back);
        Assert.Equal(bytes, _device.Bytes[0x103..0x10E]);
        Assert.Null(_device.Violation);
    }

    [Fact]
    public void Guest_memory_does_not_reach_it_because_it_is_not_RAM()
    {
        Place(0x1000_0000);
        GuestMemory memory = new(_space);
        byte[] bytes = new byte[4];
        Assert.False(memory.TryRead(new GuestAddress(0x1000_0000), out uint _));
        Assert.False(memory.TryWrite(new GuestAddress(0x1000_0000), 1U));
        Assert.False(memory.Read(new GuestAddress(0x1000_0000), bytes));
        Assert.False(memory.Write(new GuestAddress(0x1000_0000), bytes));
        Assert.Equal([0xFF, 0xFF, 0xFF, 0xFF], bytes);
        Assert.Equal(0, _device.Accesses);
    }

    [Fact]
    public void Replacing_it_while_it_is_live_holds_the_vCPUs_like_RAM()
    {
        Region region = Place(0x1000_0000);
        FlatView before = _space.View;
        Change(change => change.Place(Region.Trapped("over", Page, _device), new GuestAddress(0x1000_0000), 2));
        Assert.True(FlatViewDiff.Between(before, _space.View).ReplacesLiveMemory);
        Assert.Equal(RegionKind.Device, region.Kind);
    }

    private Region Place(ulong address)
    {
        Region region = Region.ForDevice("bar", _block, 0, Size, _device);
        Change(change => change.Place(region, new GuestAddress(address), 1));
        return region;
    }

    private void Remove(Region region) => Change(change => Assert.True(change.Remove(region)));

    private void Change(Action<AddressChange> edit)
    {
        using AddressChange change = _space.Begin();
        edit(change);
        change.Commit();
    }

    private sealed class Owner : IDisposable
    {
        public int Disposals { get; private set; }

        public void Dispose() => Disposals++;
    }
}
