using System.Runtime.InteropServices;
using Aperture.Pci.Ports;
using Aperture.Pci.Registers;

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
        return new DecodeMap([.. state.Memory], [.. state.Io], state.Refusals());
    }

    private static void Visit(PciBus bus, State state)
    {
        foreach (PciFunction function in bus.Functions)
        {
            foreach (Bar bar in function.Bars)
            {
                state.Consider(function, bar);
            }

            if (function is PciBridge bridge)
            {
                Visit(bridge.Secondary, state);
            }
        }
    }

    private sealed class State(DecodeLimits limits, DecodeMap previous)
    {
        private readonly List<Entry> _entries = [];
        private int _refusals;

        public List<DecodedBar> Memory { get; } = [];

        public List<DecodedBar> Io { get; } = [];

        public void Consider(PciFunction function, Bar bar)
        {
            Entry entry = new(function, bar, Check(function, bar));
            _refusals += entry.Refusal is null ? 0 : 1;
            _entries.Add(entry);
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
                DecodedBar decoded = new(entry.Function, entry.Bar, new AddressRange(entry.Bar.DecodeAddress, entry.Bar.Size));
                if (!chosen(entry, WasThere(decoded, io)))
                {
                    continue;
                }

                if (TryInsert(io ? Io : Memory, decoded) is { } other)
                {
                    entry.Refusal = new RefusedBar(entry.Function, entry.Bar, decoded.Range, DecodeRefusal.Conflict, other);
                    _refusals++;
                }
                else
                {
                    entry.Placed = true;
                }
            }
        }

        public RefusedBar[] Refusals()
        {
            RefusedBar[] refused = new RefusedBar[_refusals];
            int count = 0;
            foreach (Entry entry in _entries)
            {
                if (entry.Refusal is { } refusal)
                {
                    refused[count++] = refusal;
                }
            }

            return refused;
        }

        private static DecodedBar? TryInsert(List<DecodedBar> accepted, DecodedBar candidate)
        {
            int place = FirstAtOrAbove(CollectionsMarshal.AsSpan(accepted), candidate.Range.Start);
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

        private static int FirstAtOrAbove(ReadOnlySpan<DecodedBar> sorted, GuestAddress start)
        {
            int low = 0;
            int high = sorted.Length;
            while (low < high)
            {
                int middle = (low + high) / 2;
                if (sorted[middle].Range.Start < start)
                {
                    low = middle + 1;
                }
                else
                {
                    high = middle;
                }
            }

            return low;
        }

        private bool WasThere(DecodedBar candidate, bool io)
        {
            ReadOnlySpan<DecodedBar> before = previous.Entries(io);
            int place = FirstAtOrAbove(before, candidate.Range.Start);
            return place < before.Length && before[place] == candidate;
        }

        private RefusedBar? Check(PciFunction function, Bar bar)
        {
            bool io = bar.Kind == BarKind.Io;
            GuestAddress start = bar.DecodeAddress;
            AddressRange? range = AddressRange.Fits(start, bar.Size) ? new AddressRange(start, bar.Size) : null;
            PciCommand needed = io ? PciCommand.IoSpace : PciCommand.MemorySpace;
            RefusedBar Refuse(DecodeRefusal reason, string? obstacle = null) => new(function, bar, range, reason, null, obstacle);

            if ((function.Command & needed) == 0)
            {
                return Refuse(DecodeRefusal.NotEnabled);
            }

            if (!bar.IsEnabled)
            {
                return Refuse(DecodeRefusal.RomDisabled);
            }

            if (!function.IsInD0)
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

        public sealed class Entry(PciFunction function, Bar bar, RefusedBar? refusal)
        {
            public PciFunction Function { get; } = function;

            public Bar Bar { get; } = bar;

            public bool IsPinned { get; } = bar.Pin is not null && bar.PinPolicy != BarPinPolicy.Follow;

            public RefusedBar? Refusal { get; set; } = refusal;

            public bool Placed { get; set; }
        }
    }
}
