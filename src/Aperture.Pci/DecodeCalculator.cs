namespace Aperture.Pci;

/// <summary>Computes a <see cref="DecodeMap"/> from the registers.</summary>
internal static class DecodeCalculator
{
    public static DecodeMap Compute(PciHierarchy hierarchy, DecodeLimits limits, DecodeMap previous)
    {
        State state = new(limits, previous);
        Visit(hierarchy.Root, state);

        // First those that stay where they were, then the rest: of two that overlap the one already there wins.
        state.Accept(stayingOnly: true);
        state.Accept(stayingOnly: false);
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
        private readonly List<(RefusedBar Entry, bool Refused, bool Placed)> entries = [];

        public List<DecodedBar> Memory { get; } = [];

        public List<DecodedBar> Io { get; } = [];

        public void Consider(PciFunction function, Bar bar)
        {
            RefusedBar? refusal = Check(function, bar);
            entries.Add(refusal is { } refused
                ? (refused, true, false)
                : (new RefusedBar(function, bar, new AddressRange(bar.DecodeAddress, bar.Size), default), false, false));
        }

        public void Accept(bool stayingOnly)
        {
            for (int i = 0; i < entries.Count; i++)
            {
                (RefusedBar entry, bool isRefused, bool isPlaced) = entries[i];
                if (isRefused || isPlaced)
                {
                    continue;
                }

                bool io = entry.Bar.Kind == BarKind.Io;
                DecodedBar decoded = new(entry.Function, entry.Bar, entry.Range!.Value);
                if (stayingOnly && !WasThere(decoded, io))
                {
                    continue;
                }

                DecodedBar? other = TryInsert(io ? Io : Memory, decoded);
                entries[i] = other is null
                    ? (entry, false, true)
                    : (entry with { Reason = DecodeRefusal.Conflict, Other = other }, true, false);
            }
        }

        public RefusedBar[] Refusals() => [.. entries.Where(e => e.Refused).Select(e => e.Entry)];

        private static DecodedBar? TryInsert(List<DecodedBar> accepted, DecodedBar candidate)
        {
            int low = 0;
            int high = accepted.Count;
            while (low < high)
            {
                int middle = (low + high) / 2;
                if (accepted[middle].Range.Start < candidate.Range.Start)
                {
                    low = middle + 1;
                }
                else
                {
                    high = middle;
                }
            }

            if (low < accepted.Count && accepted[low].Range.Overlaps(candidate.Range))
            {
                return accepted[low];
            }

            if (low > 0 && accepted[low - 1].Range.Overlaps(candidate.Range))
            {
                return accepted[low - 1];
            }

            accepted.Insert(low, candidate);
            return null;
        }

        private bool WasThere(DecodedBar candidate, bool io)
        {
            foreach (DecodedBar entry in previous.Entries(io))
            {
                if (entry.Bar == candidate.Bar)
                {
                    return entry.Range == candidate.Range;
                }
            }

            return false;
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

            foreach (ReservedRange reserved in limits.Reserved(io))
            {
                if (reserved.Range.Overlaps(wanted))
                {
                    return Refuse(DecodeRefusal.Reserved, reserved.Name);
                }
            }

            return null;
        }
    }
}
