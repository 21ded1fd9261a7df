using System.Collections.Immutable;
using Aperture.Pci.Ports;

namespace Aperture.Pci;

/// <summary>
/// Computes the next <see cref="DecodeMap"/> from the one before where only the registers of one endpoint changed: the cost is a search for each of its BARs,
/// however many others there are.
/// </summary>
internal static class DecodeUpdate
{
    /// <summary>
    /// The same map that <see cref="DecodeCalculator"/> computes, given that <paramref name="previous"/> was right before the registers of
    /// <paramref name="function"/> changed. Null when one BAR's change may mean something for others: then the whole is to be computed.
    /// </summary>
    public static DecodeMap? Compute(PciHierarchy hierarchy, DecodeLimits limits, DecodeMap previous, PciFunction function)
    {
        DecodeBasis basis = previous.Basis;
        bool isAlone = basis.Topology == hierarchy.Topology && basis.Limits == limits && !basis.HasConflict
            && function is not PciBridge && basis.Order.ContainsKey(function);
        if (!isAlone || Follows(function))
        {
            return null;
        }

        Draft draft = new(previous);
        foreach (Bar bar in function.Bars)
        {
            draft.TakeOut(bar, DecodeCalculator.Check(function, bar, limits));
        }

        foreach (Bar bar in function.Bars)
        {
            if (draft.IsOut(bar) && DecodeCalculator.Check(function, bar, limits) is null && !draft.TryInsert(bar))
            {
                return null;
            }
        }

        return draft.Map();
    }

    // Whether a pin follows the guest is part of the basis, with the places of those that do.
    private static bool Follows(PciFunction function)
    {
        foreach (Bar bar in function.Bars)
        {
            if (bar.IsFollowing)
            {
                return true;
            }
        }

        return false;
    }

    private sealed class Draft(DecodeMap previous)
    {
        private ImmutableList<DecodedBar> _memory = previous.Entries(false);
        private ImmutableList<DecodedBar> _io = previous.Entries(true);
        private ImmutableList<RefusedBar> _refused = previous.Refusals();
        private ImmutableDictionary<Bar, AddressRange> _places = previous.Places;

        public DecodeMap Map() => new(_memory, _io, _refused, _places, previous.Basis);

        public bool IsOut(Bar bar) => !_places.ContainsKey(bar);

        /// <summary>Takes a BAR out of where it decodes no more, and notes why it decodes nowhere if that is so.</summary>
        public void TakeOut(Bar bar, RefusedBar? refusal)
        {
            if (_places.TryGetValue(bar, out AddressRange place) && (refusal is not null || place.Start != bar.DecodeAddress || place.Size != bar.DecodeSize))
            {
                ref ImmutableList<DecodedBar> entries = ref Entries(bar);
                entries = entries.RemoveAt(entries.BinarySearch(new DecodedBar(bar.Function, bar, place), DecodeMap.ByStart));
                _places = _places.Remove(bar);
            }

            RefusedBar key = refusal ?? new RefusedBar(bar.Function, bar, null, default);
            int at = _refused.BinarySearch(key, previous.Basis);
            if (at >= 0)
            {
                _refused = refusal is { } other ? _refused.SetItem(at, other) : _refused.RemoveAt(at);
            }
            else if (refusal is { } added)
            {
                _refused = _refused.Insert(~at, added);
            }
        }

        /// <summary>Lets a BAR decode at its address; false when another does.</summary>
        public bool TryInsert(Bar bar)
        {
            ref ImmutableList<DecodedBar> entries = ref Entries(bar);
            DecodedBar decoded = new(bar.Function, bar, new AddressRange(bar.DecodeAddress, bar.DecodeSize));
            int at = entries.BinarySearch(decoded, DecodeMap.ByStart);
            int place = at < 0 ? ~at : at;
            bool taken = (place < entries.Count && entries[place].Range.Overlaps(decoded.Range))
                || (place > 0 && entries[place - 1].Range.Overlaps(decoded.Range));
            if (!taken)
            {
                entries = entries.Insert(place, decoded);
                _places = _places.Add(bar, decoded.Range);
            }

            return !taken;
        }

        private ref ImmutableList<DecodedBar> Entries(Bar bar)
        {
            if (bar.Kind == BarKind.Io)
            {
                return ref _io;
            }

            return ref _memory;
        }
    }
}
