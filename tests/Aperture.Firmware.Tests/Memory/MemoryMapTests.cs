using Aperture.Firmware.Acpi;
using Aperture.Firmware.Memory;
using Aperture.Firmware.Platform;
using FsCheck;
using FsCheck.Fluent;

namespace Aperture.Firmware.Tests.Memory;

public class MemoryMapTests
{
    private const int Span = 64;

    private static Gen<AddressRange> Ranges { get; } =
        from start in Gen.Choose(0, Span - 1)
        from size in Gen.Choose(0, 20)
        select new AddressRange(new GuestAddress((ulong)start), (ulong)Math.Min(size, Span - start));

    private static Gen<MemoryMapEntry> Reservations { get; } =
        from range in Ranges
        from kind in Gen.Elements(MemoryKind.Ram, MemoryKind.Reserved, MemoryKind.AcpiData, MemoryKind.AcpiNvs)
        select new MemoryMapEntry(range, kind);

    [Fact]
    public void The_map_agrees_byte_by_byte_with_painting_an_array_and_is_sorted_disjoint_and_joined()
    {
        Prop.ForAll(Ranges.ListOf().Zip(Reservations.ListOf()).ToArbitrary(), input =>
        {
            MemoryKind?[] painted = new MemoryKind?[Span];
            foreach (AddressRange range in input.Item1)
            {
                Array.Fill(painted, MemoryKind.Ram, (int)range.Start.Value, (int)range.Size);
            }

            foreach (MemoryMapEntry entry in input.Item2)
            {
                Array.Fill(painted, entry.Kind, (int)entry.Range.Start.Value, (int)entry.Range.Size);
            }

            IReadOnlyList<MemoryMapEntry> map = MemoryMap.Build(input.Item1, input.Item2);
            MemoryKind?[] told = new MemoryKind?[Span];
            foreach (MemoryMapEntry entry in map)
            {
                for (ulong at = entry.Range.Start.Value; at <= entry.Range.Last.Value; at++)
                {
                    Assert.Null(told[at]);
                    told[at] = entry.Kind;
                }
            }

            Assert.Equal(painted, told);
            for (int i = 1; i < map.Count; i++)
            {
                Assert.True(map[i - 1].Range.Last < map[i].Range.Start);
                Assert.False(map[i - 1].Kind == map[i].Kind && map[i - 1].Range.Last + 1 == map[i].Range.Start);
            }
        }).Holds();
    }

    [Fact]
    public void A_range_may_end_at_the_last_address()
    {
        AddressRange top = AddressRange.FromBounds(new GuestAddress(ulong.MaxValue - 9), new GuestAddress(ulong.MaxValue));
        AddressRange middle = new(new GuestAddress(ulong.MaxValue - 4), 2);
        Assert.Equal(
            [
                new MemoryMapEntry(new AddressRange(top.Start, 5), MemoryKind.Ram),
                new MemoryMapEntry(middle, MemoryKind.Reserved),
                new MemoryMapEntry(new AddressRange(middle.Last + 1, 3), MemoryKind.Ram),
            ],
            MemoryMap.Build([top], [new MemoryMapEntry(middle, MemoryKind.Reserved)]));
    }

    [Fact]
    public void A_platform_reserves_the_legacy_hole_and_ECAM_and_marks_its_ACPI_tables_by_pages()
    {
        PlatformDescription platform = Acpi.SamplePlatforms.Get("small");
        AcpiTableSet tables = AcpiTables.Build(platform, new GuestAddress(0xE_0040));
        Assert.Equal(
            [
                "0x0-0x9fbff Ram",
                "0x9fc00-0xdffff Reserved",
                "0xe0000-0xe0fff AcpiData",
                "0xe1000-0xfffff Reserved",
                "0x100000-0x7fffffff Ram",
                "0xb0000000-0xbfffffff Reserved",
                "0x100000000-0x17fffffff Ram",
                "0xfd00000000-0xffffffffff Reserved",
            ],
            MemoryMap.For(
                platform,
                tables.Area,
                [new MemoryMapEntry(Acpi.SamplePlatforms.Range(0xFD_0000_0000, 0x3_0000_0000), MemoryKind.Reserved)])
                .Select(static entry => $"{entry.Range} {entry.Kind}"));
    }
}
