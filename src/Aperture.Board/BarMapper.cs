using System.Text.Json;
using Aperture.Memory;
using Aperture.Pci;

namespace Aperture.Board;

/// <summary>
/// Keeps the address spaces at what PCI decodes: each BAR that decodes has its region placed at its address, and no other is placed. Works on whole
/// decode maps, so that BARs which trade places come out right. Used with the hierarchy's lock held.
/// </summary>
internal sealed class BarMapper(PciHierarchy hierarchy, Func<DecodeLimits> limits, IEventSink events) : IMapPart
{
    private readonly Dictionary<Bar, List<BarRegion>> _regions = [];
    private readonly Dictionary<Region, BarRegion> _owners = [];

    /// <summary>What decodes now.</summary>
    public DecodeMap Current { get; private set; } = DecodeMap.Empty;

    /// <summary>Says what answers behind a BAR or a piece of one.</summary>
    public void Register(BarRegion piece)
    {
        if (!_regions.TryGetValue(piece.Bar, out List<BarRegion>? pieces))
        {
            _regions.Add(piece.Bar, pieces = []);
        }

        pieces.Add(piece);
        _owners.Add(piece.Region, piece);
    }

    /// <summary>Forgets what answers behind <paramref name="bar"/>, which no longer decodes.</summary>
    public void Unregister(Bar bar)
    {
        if (_regions.Remove(bar, out List<BarRegion>? pieces))
        {
            pieces.ForEach(piece => _owners.Remove(piece.Region));
        }
    }

    /// <summary>The BAR, or the piece of one, that <paramref name="region"/> answers for; null when it is none's.</summary>
    public BarRegion? OwnerOf(Region region) => _owners.GetValueOrDefault(region);

    /// <inheritdoc/>
    public void Update(MapChange change)
    {
        DecodeMap next = hierarchy.ComputeDecode(limits(), Current);
        DecodeMap previous = Current;
        Current = next;
        Remove(change.Memory, previous.Memory, next);
        Remove(change.Ports, previous.Io, next);
        Add(change.Memory, next.Memory, previous);
        Add(change.Ports, next.Io, previous);
        ReportRefusals(previous, next);
    }

    private void Remove(AddressChange change, IReadOnlyList<DecodedBar> bars, DecodeMap next)
    {
        foreach (DecodedBar bar in bars)
        {
            if (next.Find(bar.Bar) != bar.Range && _regions.TryGetValue(bar.Bar, out List<BarRegion>? pieces))
            {
                pieces.ForEach(piece => change.Remove(piece.Region));
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
                pieces.ForEach(piece => change.TryPlace(piece.Region, bar.Range.Start + piece.Offset, RegionPriority.Bar));
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
                WriteBar(json, bar.Function, bar.Bar, bar.Range);
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
    private void ReportRefusals(DecodeMap previous, DecodeMap next)
    {
        if (!events.Enabled)
        {
            return;
        }

        foreach (RefusedBar refused in next.Refused)
        {
            if (refused.Reason < DecodeRefusal.Wraps || previous.Refused.Contains(refused))
            {
                continue;
            }

            events.Write("bar.refused", json =>
            {
                WriteBar(json, refused.Function, refused.Bar, refused.Range);
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

    private static void WriteBar(Utf8JsonWriter json, PciFunction function, Bar bar, AddressRange? range)
    {
        json.WriteString("function", function.Name);
        json.WriteString("bdf", function.Bdf.ToString());
        json.WriteString("bar", bar.Name);
        json.WriteString("kind", bar.Kind.Keyword());
        if (range is { } known)
        {
            json.WriteRange(known);
        }
    }
}
