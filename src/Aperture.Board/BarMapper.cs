using System.Text.Json;
using Aperture.Memory;
using Aperture.Pci;

namespace Aperture.Board;

/// <summary>
/// Keeps the address spaces at what PCI decodes: each BAR that decodes has its region placed at its address, and no other is placed. Works from one
/// decode map to the next, so that BARs which trade places come out right. Used with the hierarchy's lock held.
/// </summary>
internal sealed class BarMapper(PciHierarchy hierarchy, Func<DecodeLimits> limits, IEventSink events) : IMapPart
{
    private readonly Dictionary<Bar, List<BarRegion>> _regions = [];
    private readonly Dictionary<Region, BarRegion> _owners = [];

    /// <summary>Second addresses of BARs.</summary>
    public BarAliases Aliases { get; } = new(limits, events);

    /// <summary>What decodes now.</summary>
    public DecodeMap Current { get; private set; } = DecodeMap.Empty;

    /// <summary>Says what answers behind a BAR or a piece of one.</summary>
    public void Register(BarRegion piece)
    {
        if (!_regions.TryGetValue(piece.Bar, out List<BarRegion>? pieces))
        {
            _regions.Add(piece.Bar, pieces = []);
            Aliases.Add(piece.Bar);
        }

        pieces.Add(piece);
        _owners.Add(piece.Region, piece);
    }

    /// <summary>Forgets what answers behind <paramref name="bar"/>, which no longer decodes.</summary>
    public void Unregister(Bar bar)
    {
        if (_regions.Remove(bar, out List<BarRegion>? pieces))
        {
            Aliases.Remove(bar);
            pieces.ForEach(piece => _owners.Remove(piece.Region));
        }
    }

    /// <summary>The BAR, or the piece of one, that <paramref name="region"/> answers for; null when it is none's.</summary>
    public BarRegion? OwnerOf(Region region) => _owners.GetValueOrDefault(region) ?? Aliases.OwnerOf(region);

    /// <summary>
    /// Brings the address spaces to what the registers say now, within the caller's <paramref name="change"/>. With the hierarchy's lock held.
    /// </summary>
    /// <param name="change">Where regions are placed and removed.</param>
    public void Update(MapChange change)
    {
        PciFunction? only = change.Only;
        DecodeMap previous = Current;
        DecodeMap? near = only is null ? null : hierarchy.UpdateDecode(limits(), previous, only);
        DecodeMap next = near ?? hierarchy.ComputeDecode(limits(), previous);
        only = near is null ? null : only;
        Current = next;
        Remove(change.Memory, Decoded(previous, isIo: false, only), next);
        Remove(change.Ports, Decoded(previous, isIo: true, only), next);
        Add(change.Memory, Decoded(next, isIo: false, only), previous);
        Add(change.Ports, Decoded(next, isIo: true, only), previous);
        if (!Aliases.IsIdle)
        {
            Aliases.Update(change, next, _regions);
        }

        ReportRefusals(previous, next, only);
    }

    // What decodes by rising address: all of it, or one function's.
    private static IReadOnlyList<DecodedBar> Decoded(DecodeMap map, bool isIo, PciFunction? only)
    {
        if (only is null)
        {
            return isIo ? map.Io : map.Memory;
        }

        List<DecodedBar> bars = [];
        foreach (Bar bar in only.Bars)
        {
            if ((bar.Kind == BarKind.Io) == isIo && map.Find(bar) is { } range)
            {
                bars.Add(new DecodedBar(only, bar, range));
            }
        }

        bars.Sort(static (left, right) => left.Range.CompareTo(right.Range));
        return bars;
    }

    private void Remove(AddressChange change, IReadOnlyList<DecodedBar> bars, DecodeMap next)
    {
        foreach (DecodedBar bar in bars)
        {
            if (next.Find(bar.Bar) != bar.Range && _regions.TryGetValue(bar.Bar, out List<BarRegion>? pieces))
            {
                foreach (BarRegion piece in pieces)
                {
                    change.Remove(piece.Region);
                }

                Report("bar.undecoded", bar, pieces);
            }
        }
    }

    private void Add(AddressChange change, IReadOnlyList<DecodedBar> bars, DecodeMap previous)
    {
        foreach (DecodedBar bar in bars)
        {
            if (previous.Find(bar.Bar) != bar.Range && _regions.TryGetValue(bar.Bar, out List<BarRegion>? pieces))
            {
                foreach (BarRegion piece in pieces)
                {
                    // VFs that there are not have no place.
                    if (piece.Place < bar.Range.Size)
                    {
                        change.TryPlace(piece.Region, bar.Range.Start + piece.Place, RegionPriority.Bar);
                    }
                }

                Report("bar.decoded", bar, pieces);
            }
        }
    }

    private void Report(string kind, DecodedBar bar, List<BarRegion> pieces)
    {
        if (events.Enabled)
        {
            events.Write(kind, json =>
            {
                WriteBar(json, bar.Bar, bar.Range);
                json.WriteString("region", pieces[0].Region.Name);
                json.WriteString("backing", Backing(pieces));
            });
        }
    }

    private static string Backing(List<BarRegion> pieces) =>
        !pieces.TrueForAll(p => p.Region.Kind == pieces[0].Region.Kind) ? "mixed" : pieces[0].Region.Kind switch
        {
            RegionKind.Ram => "ram",
            RegionKind.Device => "device",
            _ => "trap",
        };

    // Only what stands in the way of a BAR that the guest enabled is worth a line, and only when it is news.
    private void ReportRefusals(DecodeMap previous, DecodeMap next, PciFunction? only)
    {
        if (!events.Enabled)
        {
            return;
        }

        foreach (RefusedBar refused in only is null ? next.Refused : only.Bars.Select(next.RefusalOf).OfType<RefusedBar>())
        {
            if (refused.Reason < DecodeRefusal.Wraps || previous.RefusalOf(refused.Bar) == refused)
            {
                continue;
            }

            events.Write("bar.refused", json =>
            {
                WriteBar(json, refused.Bar, refused.Range);
                json.WriteString("reason", refused.Reason.ToString());
                if (refused.Other is { } other)
                {
                    json.WriteString("obstacle", $"{other.Function.Name} {other.Bar.Name}");
                }
                else if (refused.Obstacle is { } obstacle)
                {
                    json.WriteString("obstacle", obstacle);
                }
            });
        }
    }

    private static void WriteBar(Utf8JsonWriter json, Bar bar, AddressRange? range)
    {
        json.WriteBar(bar);
        json.WriteString("kind", bar.Kind.Keyword());
        if (range is { } known)
        {
            json.WriteRange(known);
        }
    }
}
