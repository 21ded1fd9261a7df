using FsCheck.Fluent;

namespace Aperture.Memory.Tests;

public sealed class SlotListenerTests : IDisposable
{
    // Half pages, so that runs begin and end inside pages and host memory may be skewed against the guest's pages.
    private const ulong Unit = MemorySlot.PageSize / 2;
    private const int Units = 48;
    private const ulong Origin = 0xC000_0000;

    private readonly RamBlock _ram = RamBlock.Create("test", Units * Unit);

    public void Dispose() => _ram.Dispose();

    [Theory]
    [InlineData(64, 0, 0)]
    [InlineData(64, 3, 0)]
    [InlineData(2, 0, 0)]
    [InlineData(3, 4, 0)]
    public void Slots_are_what_the_view_says_after_any_changes_whatever_the_host_refuses(int maxSlots, int failOneIn, int seed)
    {
        Prop.ForAll(Edit.Sequences(Units).ToArbitrary(), Gen.Choose(0, 1000).ToArbitrary(), (edits, salt) =>
        {
            Random random = new(seed + salt);
            FakeSlots backend = new(maxSlots) { Fails = isSet => isSet && failOneIn != 0 && random.Next(failOneIn) == 0 };
            using AddressSpace space = AddressSpace.ForMemory();
            SlotListener listener = new(backend);
            space.AddListener(listener);
            Layout layout = new(Origin, Unit, Units, _ram);
            for (int i = 0; i < edits.Length;)
            {
                using AddressChange change = space.Begin();
                do
                {
                    layout.Apply(edits[i], change);
                }
                while (!edits[i++].Commits && i < edits.Length);
                change.Commit();
                Assert.Null(listener.Verify());
                Assert.Equal(0, backend.Refusals);
                CheckPages(layout, backend, listener, mustAllBeMapped: failOneIn == 0 && maxSlots == 64);
            }
        }).Holds();
    }

    // Page by page: what the model says belongs there, and what the hypervisor's table really has.
    private void CheckPages(Layout layout, FakeSlots backend, SlotListener listener, bool mustAllBeMapped)
    {
        for (int unit = 0; unit < Units; unit += 2)
        {
            GuestAddress page = layout.At(unit);
            (Region Region, ulong Offset)? first = layout.Owner(unit);
            (Region Region, ulong Offset)? second = layout.Owner(unit + 1);
            MemorySlot[] slots = [.. backend.Table.Values.Where(slot => slot.Range.Contains(page))];
            bool mappable = first is { Region.Ram: not null } && first.Value.Region == second?.Region
                && (first.Value.Region.RamOffset + first.Value.Offset) % MemorySlot.PageSize == 0;
            Assert.True(slots.Length <= (mappable ? 1 : 0));
            if (slots.Length == 1)
            {
                ulong host = _ram.HostAddress.Value + first!.Value.Region.RamOffset + first.Value.Offset;
                Assert.Equal(host, slots[0].Host.Value + (page - slots[0].Range.Start));
                Assert.Equal(first.Value.Region.IsReadOnly, slots[0].IsReadOnly);
            }

            Assert.False(mappable && mustAllBeMapped && slots.Length == 0);
            for (int half = unit; half < unit + 2; half++)
            {
                bool isRam = layout.Owner(half) is { Region.Ram: not null };
                TrappedRange[] trapped = [.. listener.Trapped.Where(range => range.Range.Contains(layout.At(half)))];
                Assert.Equal(isRam && slots.Length == 0 ? 1 : 0, trapped.Length);
                Assert.All(trapped, range => Assert.NotEmpty(range.Reason));
            }
        }
    }

    [Fact]
    public void A_kept_range_keeps_its_slot_untouched_and_deletes_come_before_adds()
    {
        FakeSlots backend = new(8);
        using AddressSpace space = Space(backend, out _);
        Region low = Ram("low", 0, 4);
        Region bar = Ram("bar", 8, 2);
        Change(space, change => change.Place(low, new GuestAddress(0), 0));
        Change(space, change => change.Place(bar, new GuestAddress(0x10000), 0));
        backend.Calls.Clear();
        Change(space, change =>
        {
            change.Remove(bar);
            change.Place(bar, new GuestAddress(0x11000), 0);
        });
        Assert.Equal(["-0x10000-0x11fff", "+0x11000-0x12fff"], backend.Calls);
        Assert.Equal([0, 1], backend.Table.Keys);
    }

    [Fact]
    public void A_refused_BAR_traps_with_the_reason_and_is_mapped_when_the_host_has_room_again()
    {
        FakeSlots backend = new(8) { Fails = _ => true };
        using AddressSpace space = Space(backend, out SlotListener listener);
        Change(space, change => change.Place(Ram("bar", 0, 2), new GuestAddress(0x10000), 0));
        TrappedRange trapped = Assert.Single(listener.Trapped);
        Assert.Equal("bar", trapped.Region.Name);
        Assert.Contains("errno 12", trapped.Reason, StringComparison.Ordinal);
        Assert.Empty(backend.Table);

        backend.Fails = _ => false;
        Change(space, change => change.Place(Ram("other", 4, 2), new GuestAddress(0x20000), 0));
        Assert.Empty(listener.Trapped);
        Assert.Equal(2, backend.Table.Count);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public void A_change_without_RAM_goes_the_short_way_whatever_is_trapped(int trapped)
    {
        FakeSlots backend = new(1) { Fails = _ => trapped == 2 };
        using AddressSpace space = Space(backend, out SlotListener listener);
        Change(space, change => change.Place(Ram("bar", 0, 2), new GuestAddress(0x10000), 0));
        if (trapped == 1)
        {
            Change(space, change => change.Place(Ram("one too many", 4, 2), new GuestAddress(0x20000), 0));
        }

        Assert.Equal(trapped == 0 ? 0 : 1, listener.Trapped.Count);
        IReadOnlyList<MemorySlot> slots = listener.Slots;
        IReadOnlyList<TrappedRange> ranges = listener.Trapped;
        backend.Calls.Clear();
        Change(space, change => change.Place(Region.Trapped("device", 0x1000, new ByteDevice(0x1000)), new GuestAddress(0x30000), 0));

        // The long way publishes both anew. Only what the host refused is asked for again.
        Assert.Same(slots, listener.Slots);
        Assert.Same(ranges, listener.Trapped);
        Assert.Equal(trapped == 2 ? ["+0x10000-0x11fff"] : [], backend.Calls);
    }

    [Fact]
    public void A_refused_BAR_is_mapped_by_a_change_that_touches_no_RAM()
    {
        FakeSlots backend = new(8) { Fails = _ => true };
        using AddressSpace space = Space(backend, out SlotListener listener);
        Change(space, change => change.Place(Ram("bar", 0, 2), new GuestAddress(0x10000), 0));
        Assert.Single(listener.Trapped);
        backend.Fails = _ => false;
        Change(space, change => change.Place(Region.Trapped("device", 0x1000, new ByteDevice(0x1000)), new GuestAddress(0x30000), 0));
        Assert.Empty(listener.Trapped);
        Assert.Equal("bar", Assert.Single(listener.Slots).Region.Name);
        Assert.Null(listener.Verify());
    }

    [Fact]
    public void RAM_that_must_be_mapped_and_is_refused_is_a_host_failure_that_names_it()
    {
        FakeSlots backend = new(8) { Fails = _ => true };
        using AddressSpace space = Space(backend, out SlotListener listener);
        ApertureException thrown = Assert.Throws<ApertureException>(() => Change(space, change =>
            change.Place(Region.ForRam("ram-low", _ram, 0, 0x2000, mustBeMapped: true), GuestAddress.Zero, 0)));
        Assert.Equal(ApertureException.HostFailure, thrown.ExitCode);
        Assert.Contains("ram-low at 0x0-0x1fff", thrown.Message, StringComparison.Ordinal);
        Assert.Single(listener.Trapped);
        Assert.Equal(1, space.View.Ranges.Length);
    }

    [Fact]
    public void A_slot_that_the_host_does_not_delete_is_a_host_failure_and_is_deleted_at_the_next_change()
    {
        FakeSlots backend = new(8);
        using AddressSpace space = Space(backend, out SlotListener listener);
        Region bar = Ram("bar", 0, 2);
        Change(space, change => change.Place(bar, new GuestAddress(0x10000), 0));
        backend.Fails = isSet => !isSet;
        ApertureException thrown = Assert.Throws<ApertureException>(() => Change(space, change => change.Remove(bar)));
        Assert.Equal(ApertureException.HostFailure, thrown.ExitCode);
        Assert.NotNull(listener.Verify());

        backend.Fails = _ => false;
        Change(space, change => change.Place(Ram("other", 4, 2), new GuestAddress(0x20000), 0));
        Assert.Null(listener.Verify());
        Assert.Single(backend.Table);
    }

    [Fact]
    public void Scarce_slots_go_to_RAM_that_must_be_mapped_first()
    {
        FakeSlots backend = new(1);
        using AddressSpace space = Space(backend, out SlotListener listener);
        Change(space, change => change.Place(Ram("bar", 0, 2), new GuestAddress(0x10000), 0));
        Assert.Single(backend.Table);
        Change(space, change =>
            change.Place(Region.ForRam("ram", _ram, 0x4000, 0x2000, mustBeMapped: true), new GuestAddress(0x20000), 0));
        Assert.Equal("ram", Assert.Single(backend.Table).Value.Region.Name);
        TrappedRange trapped = Assert.Single(listener.Trapped);
        Assert.Equal("bar", trapped.Region.Name);
        Assert.Contains("all 1 memory slots", trapped.Reason, StringComparison.Ordinal);
    }

    [Fact]
    public void Memory_that_one_slot_cannot_span_is_cut_into_several()
    {
        using RamBlock big = RamBlock.Create("big", 3 * MemorySlot.MaxSize);
        FakeSlots backend = new(8);
        using AddressSpace space = Space(backend, out SlotListener listener);
        ulong start = MemorySlot.MaxSize - 0x1000;
        Change(space, change => change.Place(Region.ForRam("bar", big, 0, 2 * MemorySlot.MaxSize), new GuestAddress(start), 0));
        Assert.Equal(3, backend.Table.Count);
        Assert.All(backend.Table.Values, slot => Assert.True(slot.Range.Size <= MemorySlot.MaxSize));
        Assert.Null(listener.Verify());
    }

    [Fact]
    public void A_run_at_the_end_of_the_address_space_maps_its_whole_pages_only()
    {
        FakeSlots backend = new(8);
        using AddressSpace space = Space(backend, out SlotListener listener);
        Change(space, change => change.Place(Region.ForRam("top", _ram, 0, 0x1FFF), new GuestAddress(ulong.MaxValue - 0x1FFF), 0));
        Assert.Equal(0x1000UL, Assert.Single(backend.Table).Value.Range.Size);
        Assert.Equal(0xFFFUL, Assert.Single(listener.Trapped).Range.Size);
        Change(space, change => change.Remove(space.Placements[0].Region));
        Change(space, change => change.Place(Region.ForRam("sliver", _ram, 0x10, 0x100), new GuestAddress(ulong.MaxValue - 0xFEF), 0));
        Assert.Empty(backend.Table);
        Assert.Equal(0x100UL, Assert.Single(listener.Trapped).Range.Size);
    }

    private Region Ram(string name, int unit, int units) => Region.ForRam(name, _ram, (ulong)unit * Unit, (ulong)units * 2 * Unit);

    private static AddressSpace Space(FakeSlots backend, out SlotListener listener)
    {
        AddressSpace space = AddressSpace.ForMemory();
        listener = new SlotListener(backend);
        space.AddListener(listener);
        return space;
    }

    private static void Change(AddressSpace space, Action<AddressChange> edit)
    {
        using AddressChange change = space.Begin();
        edit(change);
        change.Commit();
    }
}
