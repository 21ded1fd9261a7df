using Aperture.Memory;
using Aperture.Pci;
using Aperture.Placement.Map;

namespace Aperture.Machine.Boot;

/// <summary>
/// Where a firmware that packs 64-bit BARs upwards from the end of RAM, as SeaBIOS does, should begin so that none comes to lie on a pin; fw_cfg's
/// <c>etc/reserved-memory-end</c> tells it.
/// </summary>
internal static class ClearOfPins
{
    private const ulong Granule = 1 << 30;

    /// <summary>The address, a multiple of 1 GiB; null when the end of RAM will do.</summary>
    public static GuestAddress? From(PlacementMap map)
    {
        List<BarPlacement> high = [.. map.Functions.SelectMany(function => function.Bars).Where(bar => bar.Demand.Kind.Is64Bit())];
        List<AddressRange> pins = [.. high.Where(IsPin).Select(bar => bar.Range).OrderBy(range => range.Start.Value)];
        UInt128 room = 2 * high.Where(bar => !IsPin(bar)).Aggregate((UInt128)0, (sum, bar) => sum + bar.Range.Size);
        UInt128 end = map.Ram.Pieces.Where(piece => !piece.IsEmpty)
            .Aggregate((UInt128)GuestRam.HighBase.Value, (so, piece) => UInt128.Max(so, (UInt128)piece.Last.Value + 1));
        UInt128 from = end;
        foreach (AddressRange pin in pins.Where(_ => room != 0))
        {
            if (pin.Last.Value >= from && pin.Start.Value < from + room)
            {
                from = ((UInt128)pin.Last.Value + Granule) / Granule * Granule;
            }
        }

        return from == end || from > ulong.MaxValue ? null : new GuestAddress((ulong)from);
    }

    private static bool IsPin(BarPlacement bar) => bar.Why.Kind == PlacementReasonKind.Pinned;
}
