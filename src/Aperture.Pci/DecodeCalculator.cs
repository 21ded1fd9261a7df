using System.Collections.Immutable;
using Aperture.Pci.Ports;

namespace Aperture.Pci;

/// <summary>Computes a <see cref="DecodeMap"/> from the registers.</summary>
internal static class DecodeCalculator
{
    public static DecodeMap Compute(PciHierarchy hierarchy, DecodeLimits limits, DecodeMap previous)
    {
        State state = new(limits, previous);
        Visit(hierarchy.Root, state);

        // Pinned BARs keep their place against all others. Then those that stay where they were, then the rest: of two that overlap the one already there wins.
        state.Accept(static (entry, _) => entry.IsPinned);
        state.Accept(static (_, wasThere) => wasThere);
        state.Accept(static (_, _) => true);
        return state.Map(hierarchy.Topology);
    }

    /// <summary>Why <paramref name="bar"/> would not decode even if it were alone, or null.</summary>
    public static RefusedBar? Check(PciFunction function, Bar bar, DecodeLimits limits)
    {
        bool io = bar.Kind == BarKind.Io;
        GuestAddress start = bar.DecodeAddress;
        AddressRange? range = AddressRange.Fits(start, bar.DecodeSize) ? new AddressRange(start, bar.DecodeSize) : null;
        RefusedBar Refuse(DecodeRefusal reason, string? obstacle = null) => new(function, bar, range, reason, null, obstacle);

        if (!bar.IsSpaceEnabled)
        {
            return Refuse(DecodeRefusal.NotEnabled);
        }

        if (!bar.IsEnabled)
        {
            return Refuse(DecodeRefusal.RomDisabled);
        }

        if (!function.IsInD0 || !function.IsReady)
        {
            return Refuse(DecodeRefusal.PowerState);
        }

        if (start == GuestAddress.Zero)
        {
            return Refuse(DecodeRefusal.AddressZero);
        }

        if (range is not { } wanted || wanted.Last.Value > long.MaxValue)
        {
            return Refuse(DecodeRefusal.Wraps);
        }

        for (PciBridge? bridge = function.Bus?.Parent; bridge is not null; bridge = bridge.Bus?.Parent)
        {
            if (!bridge.Forwards(wanted, io))
            {
                return Refuse(DecodeRefusal.NotForwarded, bridge.Name);
            }
        }

        if (!Coverage.Covers(limits.Windows(io), wanted))
        {
            return Refuse(DecodeRefusal.OutsideHostWindows);
        }

        foreach (DecodeObstacle reserved in limits.Reserved(io))
        {
            if (reserved.Range.Overlaps(wanted))
            {
                return Refuse(DecodeRefusal.Reserved, reserved.Name);
            }
        }

        return null;
    }

    private static void Visit(PciBus bus, State state)
    {
        foreach (PciFunction function in bus.Functions)
        {
            state.Consider(function);
            if (function is PciBridge bridge)
            {
                Visit(bridge.Secondary, state);
            }
        }
    }

    private sealed class State(DecodeLimits limits, DecodeMap previous)
    {
        private readonly Dictionary<PciFunction, int> _order = [];
        private readonly List<Entry> _entries = [];

        // As trees, because BARs come in any order of their addresses.
        private readonly ImmutableList<DecodedBar>.Builder _memory = ImmutableList.CreateBuilder<DecodedBar>();
        private readonly ImmutableList<DecodedBar>.Builder _io = ImmutableList.CreateBuilder<DecodedBar>();
        private readonly ImmutableDictionary<Bar, AddressRange>.Builder _places = ImmutableDictionary.CreateBuilder<Bar, AddressRange>();
        private bool _hasConflict;

        public void Consider(PciFunction function)
        {
            _order.Add(function, _order.Count);
            foreach (Bar bar in function.Bars)
            {
                _entries.Add(new Entry(function, bar, Check(function, bar, limits)));
            }
        }

        public void Accept(Func<Entry, bool, bool> chosen)
        {
            foreach (Entry entry in _entries)
            {
                if (entry.Refusal is not null || entry.Placed)
                {
                    continue;
                }

                bool io = entry.Bar.Kind == BarKind.Io;
                DecodedBar decoded = new(entry.Function, entry.Bar, new AddressRange(entry.Bar.DecodeAddress, entry.Bar.DecodeSize));
                if (!chosen(entry, previous.Find(entry.Bar) == decoded.Range))
                {
                    continue;
                }

                if (TryInsert(io ? _io : _memory, decoded) is { } other)
                {
                    entry.Refusal = new RefusedBar(entry.Function, entry.Bar, decoded.Range, DecodeRefusal.Conflict, other);
                    _hasConflict = true;
                }
                else
                {
                    entry.Placed = true;
                    _places.Add(entry.Bar, decoded.Range);
                }
            }
        }

        public DecodeMap Map(object topology)
        {
            IEnumerable<DecodedBar> following = _memory.Concat(_io).Where(static d => d.Bar.IsFollowing);
            IEnumerable<RefusedBar> refused = _entries.Where(static entry => entry.Refusal is not null).Select(static entry => entry.Refusal!.Value);
            DecodeBasis basis = new(topology, limits, _order, [.. following], _hasConflict);
            return new DecodeMap(_memory.ToImmutable(), _io.ToImmutable(), [.. refused], _places.ToImmutable(), basis);
        }

        private static DecodedBar? TryInsert(ImmutableList<DecodedBar>.Builder accepted, DecodedBar candidate)
        {
            int at = accepted.BinarySearch(candidate, DecodeMap.ByStart);
            int place = at < 0 ? ~at : at;
            if (place < accepted.Count && accepted[place].Range.Overlaps(candidate.Range))
            {
                return accepted[place];
            }

            if (place > 0 && accepted[place - 1].Range.Overlaps(candidate.Range))
            {
                return accepted[place - 1];
            }

            accepted.Insert(place, candidate);
            return null;
        }

        public sealed class Entry(PciFunction function, Bar bar, RefusedBar? refusal)
        {
            public PciFunction Function { get; } = function;

            public Bar Bar { get; } = bar;

            public bool IsPinned { get; } = bar.HeldPin is not null;

            public RefusedBar? Refusal { get; set; } = refusal;

            public bool Placed { get; set; }
        }
    }
}
