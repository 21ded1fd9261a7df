using Aperture.Memory;
using Aperture.Pci;

namespace Aperture.Board;

/// <summary>
/// Second addresses of BARs, at which they answer as long as nothing else is there. A pinned BAR has one while firmware drives its device by the address that
/// it wrote; a display's framebuffer keeps the one that firmware told the operating system of. Used with the hierarchy's lock held.
/// </summary>
internal sealed class BarAliases(Func<DecodeLimits> limits, IEventSink events)
{
    private readonly Dictionary<Bar, (GuestAddress Address, List<BarRegion> Pieces)> _placed = [];
    private readonly Dictionary<Region, BarRegion> _owners = [];
    private readonly Dictionary<Bar, GuestAddress> _kept = [];
    private readonly HashSet<Bar> _pinned = [];

    /// <summary>True while a pinned BAR answers as well where the guest asks it to go.</summary>
    public bool FollowsRequests { get; set; }

    /// <summary>There is nothing to do.</summary>
    public bool IsIdle => (!FollowsRequests || _pinned.Count == 0) && _kept.Count == 0 && _placed.Count == 0;

    /// <summary>A BAR came to the board, with its pin if it has one.</summary>
    public void Add(Bar bar)
    {
        // No firmware drives virtual functions.
        if (bar.Pin is not null && bar.Sriov is null)
        {
            _pinned.Add(bar);
        }
    }

    /// <summary>A BAR left the board; its alias, if any, ends with the next update.</summary>
    public void Remove(Bar bar)
    {
        _pinned.Remove(bar);
        _kept.Remove(bar);
    }

    /// <summary>The BAR whose alias <paramref name="region"/> is, or null.</summary>
    public BarRegion? OwnerOf(Region region) => _owners.GetValueOrDefault(region);

    /// <summary>Lets <paramref name="bar"/> answer at <paramref name="address"/> too, until <see cref="Forget"/>.</summary>
    public void Keep(Bar bar, GuestAddress address) => _kept[bar] = address;

    /// <summary>Ends what <see cref="Keep"/> began, for all.</summary>
    public void Forget() => _kept.Clear();

    /// <summary>Brings the aliases to what decodes now.</summary>
    /// <param name="change">Where they are placed and removed.</param>
    /// <param name="decode">What decodes.</param>
    /// <param name="regions">What answers behind the BARs.</param>
    public void Update(MapChange change, DecodeMap decode, IReadOnlyDictionary<Bar, List<BarRegion>> regions)
    {
        DecodeLimits allowed = limits();
        foreach (Bar bar in _placed.Keys.Union(_kept.Keys).Union(FollowsRequests ? _pinned : []).ToList())
        {
            GuestAddress? wanted = decode.Find(bar) is null ? null : Wanted(bar, allowed);
            if (_placed.TryGetValue(bar, out (GuestAddress Address, List<BarRegion> Pieces) placed))
            {
                if (placed.Address == wanted)
                {
                    continue;
                }

                TakeOut(change, bar);
            }

            if (wanted is { } address && regions.TryGetValue(bar, out List<BarRegion>? pieces))
            {
                Place(change, bar, address, pieces);
            }
        }
    }

    private GuestAddress? Wanted(Bar bar, DecodeLimits allowed)
    {
        GuestAddress address = FollowsRequests && bar is { HeldPin: not null, IsMoved: true } ? bar.Requested : _kept.GetValueOrDefault(bar);
        return address != GuestAddress.Zero && AddressRange.Fits(address, bar.Size)
            && allowed.Allows(new AddressRange(address, bar.Size), bar.Kind == BarKind.Io) ? address : null;
    }

    private void Place(MapChange change, Bar bar, GuestAddress address, List<BarRegion> pieces)
    {
        List<BarRegion> shown = [];
        foreach (BarRegion piece in pieces)
        {
            BarRegion alias = piece with { Region = piece.Region.ShownAgain($"{piece.Region.Name} at firmware's address") };
            shown.Add(alias);
            _owners.Add(alias.Region, alias);
            Space(change, bar).TryPlace(alias.Region, address + alias.Place, RegionPriority.Alias);
        }

        _placed.Add(bar, (address, shown));
        Report("bar.alias", bar, address);
    }

    private void TakeOut(MapChange change, Bar bar)
    {
        if (_placed.Remove(bar, out (GuestAddress Address, List<BarRegion> Pieces) placed))
        {
            foreach (BarRegion alias in placed.Pieces)
            {
                Space(change, bar).Remove(alias.Region);
                _owners.Remove(alias.Region);
            }

            Report("bar.alias_ended", bar, placed.Address);
        }
    }

    private static AddressChange Space(MapChange change, Bar bar) => bar.Kind == BarKind.Io ? change.Ports : change.Memory;

    private void Report(string kind, Bar bar, GuestAddress address) => events.Write(kind, json =>
    {
        json.WriteBar(bar);
        json.WriteAddress("address", address);
        json.WriteNumber("size", bar.Size);
        json.WriteAddress("decoded", bar.DecodeAddress);
    });
}
