using Aperture.Memory;
using Aperture.Placement.Map;
using Aperture.Placement.Platforms;

namespace Aperture.Board.Pc;

/// <summary>
/// Where DRAM shows in the address space (Intel 3 Series datasheet, chapter on the system address map). DRAM counts from 0 without holes: its first part shows
/// below TOLUD, what lies above 4 GiB shows where it is, and what the low hole hides shows in the remap window.
/// </summary>
public static class RamLayout
{
    // Below lies what PAM routes; above, what a PC has at fixed addresses.
    private const ulong LeastLow = 1UL << 20;
    private const ulong MostLow = 0xFEC0_0000;

    /// <summary>True when the registers can say what <paramref name="ram"/> is, so that they may also change it.</summary>
    internal static bool IsMovable(RamPlacement ram) =>
        ram.LowPieces.Count == 1 && ram.HighPieces.Count <= 1 && ram.Registers is { FitsRegisters: true }
        && ram.HighPieces.All(p => p.Start.Value == PlatformLimits.FourGiB);

    /// <summary>The plan's pieces, with the bytes where the registers would put them if they can say it.</summary>
    public static IReadOnlyList<RamPlace> Planned(RamPlacement ram)
    {
        ArgumentNullException.ThrowIfNull(ram);
        List<RamPlace> places = [];
        ulong offset = 0;
        if (IsMovable(ram) && ram.HighPieces is [var high] && high.Size + ram.LowPieces[0].Size > PlatformLimits.FourGiB)
        {
            ulong direct = high.Size + ram.LowPieces[0].Size - PlatformLimits.FourGiB;
            return
            [
                new RamPlace(ram.LowPieces[0], 0),
                new RamPlace(new AddressRange(high.Start, direct), PlatformLimits.FourGiB),
                new RamPlace(new AddressRange(high.Start + direct, high.Size - direct), ram.LowPieces[0].Size),
            ];
        }

        foreach (AddressRange piece in ram.Pieces)
        {
            places.Add(new RamPlace(piece, offset));
            offset += piece.Size;
        }

        return places;
    }

    /// <summary>What <paramref name="registers"/> say of <paramref name="size"/> bytes of DRAM, whatever they say; by rising address.</summary>
    internal static IReadOnlyList<RamPlace> By(MemoryRegisters registers, ulong size)
    {
        ulong below4G = Math.Min(size, PlatformLimits.FourGiB);
        ulong lowEnd = Math.Min(below4G, Math.Clamp(registers.Tolud.Value, LeastLow, MostLow));
        List<RamPlace> places = [Place(0, lowEnd, 0)];
        ulong highEnd = Math.Max(registers.Touud.Value, PlatformLimits.FourGiB);
        ulong directEnd = Math.Min(Math.Max(size, PlatformLimits.FourGiB), highEnd);
        ulong remap = registers.RemapBase.Value;
        ulong hidden = below4G - lowEnd;
        ulong remapEnd = Math.Min(Math.Min(registers.RemapLimit.Value + 1, highEnd), remap + hidden);
        if (!registers.RemapEnabled || remap < PlatformLimits.FourGiB || remapEnd <= remap)
        {
            Add(places, PlatformLimits.FourGiB, directEnd, PlatformLimits.FourGiB);
            return places;
        }

        // The window wins over the DRAM that would show there by itself.
        Add(places, PlatformLimits.FourGiB, Math.Min(directEnd, remap), PlatformLimits.FourGiB);
        Add(places, remap, remapEnd, lowEnd);
        Add(places, Math.Max(remapEnd, PlatformLimits.FourGiB), directEnd, Math.Max(remapEnd, PlatformLimits.FourGiB));
        return places;
    }

    private static void Add(List<RamPlace> places, ulong start, ulong end, ulong offset)
    {
        if (start < end)
        {
            places.Add(Place(start, end, offset));
        }
    }

    private static RamPlace Place(ulong start, ulong end, ulong offset) => new(new AddressRange(new GuestAddress(start), end - start), offset);
}
