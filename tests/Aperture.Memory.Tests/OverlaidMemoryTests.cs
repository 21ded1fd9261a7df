using FsCheck.Fluent;

namespace Aperture.Memory.Tests;

public sealed class OverlaidMemoryTests : IDisposable
{
    private const ulong Unit = MemorySlot.PageSize;
    private const int Units = 24;
    private const ulong Origin = 0xA_0000;

    private readonly RamBlock _ram = RamBlock.Create("test", Units * Unit);

    public void Dispose() => _ram.Dispose();

    [Fact]
    public void What_is_above_hides_what_is_below_and_slots_follow_whichever_changed()
    {
        int hidden = 0;
        Prop.ForAll(Edit.Sequences(Units).ToArbitrary(), Edit.Sequences(Units).ToArbitrary(), (below, above) =>
        {
            using AddressSpace space = AddressSpace.ForMemory();
            using OverlaidMemory memory = new("above", space, new Dispatcher(space, new UnclaimedLog()));
            FakeSlots backend = new(64);
            SlotListener slots = new(backend);
            memory.AddListener(slots);
            Layout lower = new(Origin, Unit, Units, _ram);
            Layout upper = new(Origin, Unit, Units, _ram);
            for (int i = 0; i < Math.Max(below.Length, above.Length); i++)
            {
                Apply(space, lower, below, i);
                Apply(memory.Above, upper, above, i);
                hidden += Check(memory, lower, upper);
                Assert.Null(SlotInvariant.Check(memory.View, slots.Slots, slots.Trapped));
                Assert.Equal(0, backend.Refusals);
            }
        }).Holds();
        Assert.True(hidden > 1000, $"{hidden} pages hidden");
    }

    [Fact]
    public void Accesses_reach_what_is_above_and_what_nobody_answers_is_counted_below()
    {
        using AddressSpace space = AddressSpace.ForMemory();
        UnclaimedLog unclaimed = new();
        using OverlaidMemory memory = new("above", space, new Dispatcher(space, unclaimed));
        ByteDevice low = new(0x2000) { Base = Origin };
        ByteDevice high = new(0x1000) { Base = Origin + 0x1000 };
        Place(space, Region.Trapped("low", 0x2000, low));
        Place(memory.Above, Region.Trapped("high", 0x1000, high), 0x1000);
        Assert.Equal(AccessResult.Ok, memory.Write(new GuestAddress(Origin + 0xFFC), 4, 0x1111_1111));
        Assert.Equal(AccessResult.Ok, memory.Write(new GuestAddress(Origin + 0x1000), 4, 0x2222_2222));
        Assert.Equal((0x11, 0x22, 0), (low.Bytes[0xFFF], high.Bytes[0], low.Bytes[0x1000]));
        Assert.Equal(AccessResult.Ok, memory.Read(new GuestAddress(Origin + 0xFFE), 4, out ulong both));
        Assert.Equal(0x2222_1111ul, both);
        Assert.Equal(AccessResult.Unclaimed, memory.Read(new GuestAddress(Origin + 0x2000), 2, out ulong ones));
        Assert.Equal((0xFFFFul, 1ul), (ones, unclaimed.Total));
    }

    [Fact]
    public void Processors_stand_still_while_memory_that_the_mode_uses_is_replaced()
    {
        using AddressSpace space = AddressSpace.ForMemory();
        using FakeBarrier barrier = new();
        using OverlaidMemory memory = new("above", space, new Dispatcher(space, new UnclaimedLog()));
        space.Barrier = barrier;
        List<bool> stopped = [];
        memory.AddListener(new RecordingListener((_, _, _) => stopped.Add(barrier.IsStopped)));
        Place(space, Region.ForRam("low", _ram, 0, 4 * Unit));
        Place(memory.Above, Region.ForRam("high", _ram, 8 * Unit, Unit), Unit);
        Assert.Equal([false, false, true], stopped);
        Assert.False(barrier.IsStopped);

        // A handler is there at once.
        Place(memory.Above, Region.Trapped("registers", Unit, new ByteDevice((int)Unit)), Unit);
        Assert.Equal((3, 1), (stopped.Count(s => !s), barrier.Stops));
    }

    private static void Place(AddressSpace space, Region region, ulong offset = 0)
    {
        using AddressChange change = space.Begin();
        change.Place(region, new GuestAddress(Origin + offset), 0);
        change.Commit();
    }

    private static void Apply(AddressSpace space, Layout layout, Edit[] edits, int index)
    {
        if (index < edits.Length)
        {
            using AddressChange change = space.Begin();
            layout.Apply(edits[index], change);
            change.Commit();
        }
    }

    // Page by page, by the two models alone. A hole above hides nothing: nobody answers there.
    private static int Check(OverlaidMemory memory, Layout lower, Layout upper)
    {
        int hidden = 0;
        FlatView view = memory.View;
        for (int unit = 0; unit < Units; unit++)
        {
            (Region Region, ulong Offset)? expected = upper.Owner(unit) ?? lower.Owner(unit);
            hidden += upper.Owner(unit) is not null && lower.Owner(unit) is not null ? 1 : 0;
            int index = view.IndexOf(upper.At(unit));
            Assert.Equal(expected?.Region, index < 0 ? null : view.Ranges[index].Region);
            if (index >= 0)
            {
                Assert.Equal(expected!.Value.Offset, view.Ranges[index].OffsetOf(upper.At(unit)));
            }
        }

        for (int i = 1; i < view.Ranges.Length; i++)
        {
            Assert.True(view.Ranges[i - 1].Range.Last < view.Ranges[i].Range.Start);
        }

        return hidden;
    }
}
