using Aperture.Pci.Registers;

namespace Aperture.Pci.Tests;

/// <summary>What following one function's change costs, and when it must not be done.</summary>
public class DecodeUpdateTests
{
    private const uint First = 0x8000_0000;
    private const uint Size = 0x1000;

    private static (PciHierarchy Hierarchy, PciFunction Mover) Make(int functions)
    {
        PciHierarchy hierarchy = new();
        for (int i = 0; i < functions; i++)
        {
            PciFunction function = Build.Function($"f{i}", ConfigSpace.ConventionalSize);
            function.AddBar(0, BarKind.Memory32, Size);
            hierarchy.Root.Add((byte)i, function);
            function.WriteConfig(PciRegisters.Bar0, 4, First + ((uint)i * 2 * Size));
            Build.Enable(function);
        }

        return (hierarchy, hierarchy.Root.Functions[functions / 2]);
    }

    private static long BytesOfAMove(int functions)
    {
        (PciHierarchy hierarchy, PciFunction mover) = Make(functions);
        DecodeMap map = hierarchy.ComputeDecode(Build.OpenLimits, DecodeMap.Empty);
        long fewest = long.MaxValue;
        for (int round = 0; round < 100; round++)
        {
            mover.WriteConfig(PciRegisters.Bar0, 4, (round & 1) == 0 ? 0xC000_0000 : 0xC100_0000);
            int collections = GC.CollectionCount(0);
            long before = GC.GetAllocatedBytesForCurrentThread();
            map = Assert.IsType<DecodeMap>(hierarchy.UpdateDecode(Build.OpenLimits, map, mover));
            long bytes = GC.GetAllocatedBytesForCurrentThread() - before;
            fewest = collections == GC.CollectionCount(0) ? Math.Min(fewest, bytes) : fewest;
        }

        Assert.Equal(functions, map.Memory.Count);
        return fewest;
    }

    [Fact]
    public void A_move_allocates_no_more_than_a_search_among_the_other_BARs()
    {
        long few = BytesOfAMove(8);
        long many = BytesOfAMove(256);
        Assert.True(many < few * 4, $"{few} bytes among 8 BARs, {many} among 256");
    }

    [Fact]
    public void A_map_is_computed_whole_after_functions_came_or_went_or_the_limits_changed()
    {
        (PciHierarchy hierarchy, PciFunction mover) = Make(4);
        DecodeMap map = hierarchy.ComputeDecode(Build.OpenLimits, DecodeMap.Empty);
        Assert.NotNull(hierarchy.UpdateDecode(Build.OpenLimits, map, mover));
        DecodeLimits others = new(Build.OpenLimits.MemoryWindows, [.. Build.OpenLimits.Windows(io: true)], []);
        Assert.Null(hierarchy.UpdateDecode(others, map, mover));
        Assert.Null(hierarchy.UpdateDecode(Build.OpenLimits, DecodeMap.Empty, mover));
        PciFunction late = Build.Function("late");
        hierarchy.Root.Add(0x40, late);
        Assert.Null(hierarchy.UpdateDecode(Build.OpenLimits, map, mover));
        map = hierarchy.ComputeDecode(Build.OpenLimits, map);
        Assert.NotNull(hierarchy.UpdateDecode(Build.OpenLimits, map, mover));
        hierarchy.Root.Remove(late);
        Assert.Null(hierarchy.UpdateDecode(Build.OpenLimits, map, mover));
    }

    [Fact]
    public void A_BAR_that_meets_another_or_leaves_one_that_waits_has_the_map_computed_whole()
    {
        (PciHierarchy hierarchy, PciFunction mover) = Make(4);
        DecodeMap map = hierarchy.ComputeDecode(Build.OpenLimits, DecodeMap.Empty);
        mover.WriteConfig(PciRegisters.Bar0, 4, First);
        Assert.Null(hierarchy.UpdateDecode(Build.OpenLimits, map, mover));
        map = hierarchy.ComputeDecode(Build.OpenLimits, map);
        Assert.Equal(DecodeRefusal.Conflict, map.RefusalOf(mover.Bars[0])!.Value.Reason);
        PciFunction first = hierarchy.Root.Functions[0];
        first.WriteConfig(PciRegisters.Bar0, 4, 0xC000_0000);
        Assert.Null(hierarchy.UpdateDecode(Build.OpenLimits, map, first));
        map = hierarchy.ComputeDecode(Build.OpenLimits, map);
        Assert.Equal(First, map.Find(mover.Bars[0])!.Value.Start.Value);
        Assert.NotNull(hierarchy.UpdateDecode(Build.OpenLimits, map, first));
    }

    [Fact]
    public void A_BAR_whose_pin_follows_the_guest_has_the_map_computed_whole()
    {
        (PciHierarchy hierarchy, PciFunction mover) = Make(4);
        mover.Bars[0].SetPin(Build.At(0xD000_0000), BarPinPolicy.Follow);
        DecodeMap map = hierarchy.ComputeDecode(Build.OpenLimits, DecodeMap.Empty);
        Assert.Equal(mover.Bars[0], Assert.Single(map.Following).Bar);
        mover.WriteConfig(PciRegisters.Bar0, 4, 0xC000_0000);
        Assert.Null(hierarchy.UpdateDecode(Build.OpenLimits, map, mover));
        Assert.Equal(map.Following, hierarchy.UpdateDecode(Build.OpenLimits, map, hierarchy.Root.Functions[0])!.Following);
    }
}
