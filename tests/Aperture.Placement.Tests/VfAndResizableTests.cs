using Aperture.Pci;
using Aperture.Placement.Map;
using Aperture.Placement.Platforms;
using Aperture.Placement.Reasons;
using Aperture.Placement.Request;
using FsCheck.Fluent;
using static Aperture.Placement.Tests.Build;

namespace Aperture.Placement.Tests;

public class VfAndResizableTests
{
    private static FunctionDemand Nic(ushort vfs, ulong size, ulong? pin = null) =>
        Device("nic", 1, Bar(BarIndex.Vf0, BarKind.Memory64Prefetchable, size, pin)) with { Sriov = new SriovDemand(vfs) };

    [Fact]
    public void A_VF_BAR_takes_its_size_times_TotalVFs_aligned_to_its_size()
    {
        BarPlacement bar = Build.Map(RequestFor(Nic(63, 64 * K))).Bar("nic", BarIndex.Vf0);
        Assert.Equal((64 * K, 63 * 64 * K), (bar.Size, bar.Range.Size));
    }

    [Fact]
    public void A_VF_BAR_counts_as_at_least_one_system_page() =>
        Assert.Equal(8 * 4 * K, Build.Map(RequestFor(Nic(8, 512))).Bar("nic", BarIndex.Vf0).Range.Size);

    [Fact]
    public void A_VF_BAR_can_be_pinned_at_a_multiple_of_one_share()
    {
        Assert.Equal(0x10_0001_0000UL, Build.Map(RequestFor(Nic(3, 64 * K, 0x10_0001_0000))).At("nic", BarIndex.Vf0));
        PlacementConflict conflict = Build.Conflict(RequestFor(Nic(3, 64 * K, 0x10_0000_8000)));
        Assert.Equal(PlacementConflictKind.Misaligned, conflict.Kind);
        Assert.StartsWith("nic vf-bar0 (mem64p, 3 x 64K) cannot be pinned", conflict.Sentence, StringComparison.Ordinal);
    }

    [Fact]
    public void VFs_that_do_not_fit_are_a_conflict_that_says_how_many_would()
    {
        PlacementRequest request = RequestFor(Platform with { Mmio64Window = Range(0x10_0000_0000, 16 * M), Mmio32Window = Range(0xC000_0000, M) }, Nic(32, M));
        PlacementConflict conflict = Build.Conflict(request);
        Assert.Equal(PlacementConflictKind.NoSpace, conflict.Kind);
        Assert.Equal((RemedyKind.FewerVfs, 16UL), (conflict.Remedy!.Kind, conflict.Remedy.Value));
        Build.Map(request.Apply(conflict.Remedy));
    }

    [Fact]
    public void A_bridge_forwards_the_bus_numbers_that_VFs_reach_into()
    {
        FunctionDemand nic = Device(
            "nic", 0, Bar(BarIndex.Vf0, BarKind.Memory64Prefetchable, 16 * K)) with
        { Sriov = new SriovDemand(300) { FirstOffset = 8 } };
        PlacementMap map = Build.Map(RequestFor(Bridge("rp0", 1, nic), Bridge("rp1", 2)));
        Assert.Equal((1, 2), (map.Bridge("rp0").Secondary, map.Bridge("rp0").Subordinate));
        Assert.Equal(3, map.Bridge("rp1").Secondary);
    }

    private static BarDemand Resizable(int index, ulong size, bool largest, params ulong[] sizes) =>
        Bar(index, BarKind.Memory64Prefetchable, size) with { ResizableSizes = sizes, LargestThatFits = largest };

    [Fact]
    public void A_resizable_BAR_has_the_size_that_was_asked() =>
        Assert.Equal(G, Build.Map(RequestFor(Device("gpu", 1, Resizable(0, G, false, 256 * M, G, 16 * G)))).Bar("gpu", 0).Size);

    [Fact]
    public void A_size_that_the_capability_does_not_offer_is_refused() =>
        Assert.Contains("its capability offers 256M, 1G", Build.Conflict(RequestFor(Device("gpu", 1, Resizable(0, 2 * G, false, 256 * M, G)))).Sentence,
            StringComparison.Ordinal);

    [Fact]
    public void The_largest_size_that_fits_is_taken_and_none_larger_would_fit()
    {
        PlatformLimits platform = Platform with { Mmio64Window = Range(0x10_0000_0000, 6 * G), Mmio32Window = Range(0xC000_0000, M) };
        ulong[] sizes = [.. Enumerable.Range(28, 10).Select(shift => 1UL << shift)];
        PlacementMap map = Build.Map(
            RequestFor(platform, Device("a", 1, Resizable(0, 1UL << 37, true, sizes)), Device("b", 2, Resizable(0, 1UL << 37, true, sizes))));
        Assert.Equal([4 * G, 2 * G], [map.Bar("a", 0).Size, map.Bar("b", 0).Size]);
    }

    [Fact]
    public void An_asked_size_that_does_not_fit_is_a_conflict_that_names_one_that_does()
    {
        PlatformLimits platform = Platform with { Mmio64Window = Range(0x10_0000_0000, G), Mmio32Window = Range(0xC000_0000, M) };
        PlacementConflict conflict = Build.Conflict(RequestFor(platform, Device("gpu", 1, Resizable(0, 16 * G, false, 256 * M, G, 16 * G))));
        Assert.Equal((RemedyKind.SmallerBar, G), (conflict.Remedy!.Kind, conflict.Remedy.Value));
        Assert.EndsWith("it would fit with gpu bar0 of 1G", conflict.Sentence, StringComparison.Ordinal);
    }

    /// <summary>Rows of pages and single BARs in 24 pages, some reserved: the oracle tries every page for each.</summary>
    [Fact]
    public void Small_layouts_with_VFs_are_found_when_they_exist_and_never_called_impossible()
    {
        (int exists, int missed, int impossible) = (0, 0, 0);
        Prop.ForAll(Gen.Choose(0, int.MaxValue - 1).ToArbitrary(), seed =>
        {
            Random random = new(seed);
            const ulong Page = 4096;
            const ulong Base = 0xC000_0000;
            List<ReservedRange> reserved = [];
            uint taken = 0;
            for (int count = random.Next(4); count > 0; count--)
            {
                int page = random.Next(24);
                taken |= 1u << page;
                reserved.Add(new(Range(Base + (ulong)page * Page, Page), "a reserved page"));
            }

            List<(int Unit, int Count)> rows = [.. Enumerable.Range(0, random.Next(1, 6)).Select(_ => (1 << random.Next(3), random.Next(1, 5)))];
            PlatformLimits platform = Platform with { Mmio32Window = Range(Base, 24 * Page), Reserved = reserved, PhysicalAddressBits = 32 };
            PlacementRequest request = RequestFor(platform, [.. rows.Select((row, index) => Device($"d{index}", index,
                Bar(BarIndex.Vf0, BarKind.Memory32, (ulong)row.Unit * Page)) with { Sriov = new SriovDemand((ushort)row.Count) })]);
            PlacementResult result = PlacementSolver.Solve(request);
            bool oracle = Exists(rows, 0, taken);
            if (result.Map is not null)
            {
                LayoutChecker.Check(request, result.Map);
                Assert.True(oracle);
            }
            else if (oracle)
            {
                missed++;
                Assert.All(result.Conflicts, conflict => Assert.True(conflict.Kind == PlacementConflictKind.NotFound, conflict.Sentence));
            }

            (exists, impossible) = oracle ? (exists + 1, impossible) : (exists, impossible + 1);
        }).Holds(1500);
        Assert.True(exists > 200 && impossible > 200, $"one-sided sample: {exists} exist, {impossible} impossible");
        Assert.True(missed * 50 <= exists, $"{missed} of {exists} layouts were missed");
    }

    private static bool Exists(List<(int Unit, int Count)> rows, int index, uint taken)
    {
        if (index == rows.Count)
        {
            return true;
        }

        (int unit, int count) = rows[index];
        uint mask = (1u << (unit * count)) - 1;
        for (int slot = 0; slot + unit * count <= 24; slot += unit)
        {
            if ((taken & mask << slot) == 0 && Exists(rows, index + 1, taken | mask << slot))
            {
                return true;
            }
        }

        return false;
    }
}
