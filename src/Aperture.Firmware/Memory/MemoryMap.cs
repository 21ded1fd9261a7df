using Aperture.Firmware.Acpi;
using Aperture.Firmware.Platform;

namespace Aperture.Firmware.Memory;

/// <summary>Makes the map of guest memory that e820 and PVH hand to the kernel.</summary>
public static class MemoryMap
{
    /// <summary>The extended BIOS data area: the last KiB below 640 KiB.</summary>
    public static AddressRange ExtendedBiosData { get; } = new(new GuestAddress(0x9_FC00), 0x400);

    /// <summary>Video memory, option ROMs and BIOS: 640 KiB to 1 MiB.</summary>
    public static AddressRange LegacyHole { get; } = new(new GuestAddress(0xA_0000), 0x6_0000);

    /// <summary>
    /// Paints <paramref name="ram"/>, then each of <paramref name="reservations"/> in turn over what is there: a later one wins. The result is
    /// sorted, does not overlap, and joins neighbours of one kind.
    /// </summary>
    public static IReadOnlyList<MemoryMapEntry> Build(IEnumerable<AddressRange> ram, IEnumerable<MemoryMapEntry> reservations)
    {
        ArgumentNullException.ThrowIfNull(ram);
        ArgumentNullException.ThrowIfNull(reservations);
        List<MemoryMapEntry> map = [];
        foreach (AddressRange range in ram)
        {
            Paint(map, new MemoryMapEntry(range, MemoryKind.Ram));
        }

        foreach (MemoryMapEntry reservation in reservations)
        {
            Paint(map, reservation);
        }

        map.Sort(static (left, right) => left.Range.CompareTo(right.Range));
        return Join(map);
    }

    /// <summary>
    /// The map of <paramref name="platform"/>: its RAM without the extended BIOS data area and the hole below 1 MiB, the ECAM window reserved,
    /// <paramref name="others"/> as given, and the ACPI tables on top of all.
    /// </summary>
    /// <param name="platform">The machine.</param>
    /// <param name="acpiTables">The area of its tables (<see cref="AcpiTableSet.Area"/>), or an empty range.</param>
    /// <param name="others">More reservations, such as a firmware ROM or the host's unusable ranges.</param>
    public static IReadOnlyList<MemoryMapEntry> For(
        PlatformDescription platform, AddressRange acpiTables, IEnumerable<MemoryMapEntry>? others = null)
    {
        ArgumentNullException.ThrowIfNull(platform);
        List<MemoryMapEntry> reservations =
        [
            new(ExtendedBiosData, MemoryKind.Reserved),
            new(LegacyHole, MemoryKind.Reserved),
        ];
        if (platform.Ecam is { } ecam)
        {
            reservations.Add(new MemoryMapEntry(ecam.Range, MemoryKind.Reserved));
        }

        if (others is not null)
        {
            reservations.AddRange(others);
        }

        // Whole pages: the guest returns this area to its allocator page by page.
        if (!acpiTables.IsEmpty)
        {
            GuestAddress first = acpiTables.Start.AlignDown(PageSize);
            var pages = AddressRange.FromBounds(first, new GuestAddress(acpiTables.Last.Value | (PageSize - 1)));
            reservations.Add(new MemoryMapEntry(pages, MemoryKind.AcpiData));
        }

        return Build(platform.Ram, reservations);
    }

    private const ulong PageSize = 4096;

    /// <summary>Cuts <paramref name="entry"/> out of the map and puts it in.</summary>
    private static void Paint(List<MemoryMapEntry> map, MemoryMapEntry entry)
    {
        if (entry.Range.IsEmpty)
        {
            return;
        }

        for (int i = map.Count - 1; i >= 0; i--)
        {
            (AddressRange under, MemoryKind kind) = map[i];
            if (!under.Overlaps(entry.Range))
            {
                continue;
            }

            map.RemoveAt(i);
            if (under.Start < entry.Range.Start)
            {
                map.Add(new MemoryMapEntry(AddressRange.FromBounds(under.Start, entry.Range.Start - 1), kind));
            }

            if (under.Last > entry.Range.Last)
            {
                map.Add(new MemoryMapEntry(AddressRange.FromBounds(entry.Range.Last + 1, under.Last), kind));
            }
        }

        map.Add(entry);
    }

    private static List<MemoryMapEntry> Join(List<MemoryMapEntry> sorted)
    {
        List<MemoryMapEntry> joined = [];
        foreach (MemoryMapEntry entry in sorted)
        {
            if (joined.Count != 0 && joined[^1] is var last && last.Kind == entry.Kind && last.Range.Last + 1 == entry.Range.Start)
            {
                joined[^1] = last with { Range = AddressRange.FromBounds(last.Range.Start, entry.Range.Last) };
            }
            else
            {
                joined.Add(entry);
            }
        }

        return joined;
    }
}
