using Aperture.Pci;

namespace Aperture.Machine.Verification;

/// <summary>
/// Compares what the plan promised with what a running machine has: config space, decoding, memory slots, IOMMU. Pure; the differences come in the order of
/// the promise, then by address.
/// </summary>
public static class MapVerifier
{
    // Below this the chipset's registers say what shows (PAM, VGA), and the plan promises nothing.
    private const ulong LegacyEnd = 1 << 20;
    private const ulong Page = 4096;

    /// <summary>All differences; empty when everything is as promised.</summary>
    public static IReadOnlyList<MapDifference> Compare(MapPromise promise, MapFindings found)
    {
        ArgumentNullException.ThrowIfNull(promise);
        ArgumentNullException.ThrowIfNull(found);
        List<MapDifference> differences = [];
        Dictionary<string, FoundFunction> functions = found.Functions.ToDictionary(f => f.Name, StringComparer.Ordinal);
        foreach (PromisedFunction function in promise.Functions)
        {
            differences.AddRange(functions.TryGetValue(function.Name, out FoundFunction? there)
                ? CompareFunction(function, there)
                : [new(DifferenceKind.Function, function.Name, function.Place is { } place ? $"at {place}" : "to be there", "nothing", null)]);
        }

        differences.AddRange(found.Functions.SelectMany(f => f.Bars.SelectMany(b => CompareDecode(f, b, found))));
        if (promise.Ecam is { } ecam && found.Ecam != ecam)
        {
            differences.Add(new(DifferenceKind.Ecam, "ECAM", $"{ecam}", found.Ecam is { } other ? $"{other}" : "off", "PCIEXBAR is the guest's to write"));
        }

        differences.AddRange(promise.Ram.SelectMany(piece => CompareRam(piece, found)));
        if (found.Slots is { } slots)
        {
            differences.AddRange(SlotComparer.Compare(found, slots));
        }

        differences.AddRange(found.Granted.Where(static granted => granted.Difference is not null)
            .Select(static granted => new MapDifference(DifferenceKind.Grant, granted.Owner, "the pages that were granted", granted.Difference!, null)));
        if (found.Iommu is { } mappings)
        {
            differences.AddRange(IommuComparer.Compare(found, mappings, "assigned devices"));
        }

        differences.AddRange(found.Servers.SelectMany(server => IommuComparer.Compare(found, server.Mappings, $"the server of {server.Device}")));

        return differences;
    }

    private static IEnumerable<MapDifference> CompareFunction(PromisedFunction promised, FoundFunction found)
    {
        if (promised.Place is { } place && place != found.Place)
        {
            yield return new(DifferenceKind.Function, promised.Name, $"at {place}", $"at {found.Place}", "a bridge above has another bus number");
        }

        foreach (PromisedBar bar in promised.Bars)
        {
            string subject = $"{promised.Name} {BarKinds.BarName(bar.Index)}";
            FoundBar? there = found.Bars.FirstOrDefault(b => b.Index == bar.Index);
            if (there is null)
            {
                yield return new(DifferenceKind.BarAddress, subject, Words(bar), "no such BAR", null);
            }
            else if (there.Address != bar.Address)
            {
                yield return new(DifferenceKind.BarAddress, subject, Words(bar), there.Address == GuestAddress.Zero
                    ? "no address" : $"{there.Address}", there.LastWrite);
            }
        }

        if (promised.Bridge is { } bridge)
        {
            foreach (MapDifference difference in CompareBridge(promised.Name, bridge, found))
            {
                yield return difference;
            }
        }
    }

    private static IEnumerable<MapDifference> CompareBridge(string name, BridgeState promised, FoundFunction found)
    {
        if (found.Bridge is not { } bridge)
        {
            yield return new(DifferenceKind.Bridge, name, "a bridge", "none", null);
            yield break;
        }

        if ((bridge.Secondary, bridge.Subordinate) != (promised.Secondary, promised.Subordinate))
        {
            yield return new(
                DifferenceKind.Bridge, $"{name} bus numbers", $"{promised.Secondary:x2}-{promised.Subordinate:x2}",
                $"{bridge.Secondary:x2}-{bridge.Subordinate:x2}", found.LastWindowWrite);
        }

        (string Window, AddressRange? Promised, AddressRange? Found)[] windows =
            [("I/O", promised.Io, bridge.Io), ("memory", promised.Memory, bridge.Memory), ("prefetchable", promised.Prefetchable, bridge.Prefetchable)];
        foreach ((string window, AddressRange? wanted, AddressRange? there) in windows)
        {
            // A window that the plan left closed is the guest's to open, for devices that come later.
            if (wanted is { } open && there != open)
            {
                yield return new(DifferenceKind.Bridge, $"{name} {window} window", $"{open}", there is { } range
                    ? $"{range}" : "closed", found.LastWindowWrite);
            }
        }
    }

    private static IEnumerable<MapDifference> CompareDecode(FoundFunction function, FoundBar bar, MapFindings found)
    {
        string subject = $"{function.Name} {BarKinds.BarName(bar.Index)}";
        if (bar.IsEnabled && bar.DecodedAt is null && bar.Refusal is { } refusal)
        {
            yield return new(DifferenceKind.BarDecode, subject, $"to decode at {bar.Address}", refusal, bar.LastWrite);
        }

        if (bar.DecodedAt is not { } start || bar.Owners.Count == 0)
        {
            yield break;
        }

        foreach (FoundRange other in Others(found.View, new AddressRange(start, bar.Size), bar.Owners))
        {
            yield return new(DifferenceKind.BarDecode, subject, $"to answer at {other.Range}", other.Owner.Length == 0
                ? "nothing" : other.Owner, bar.LastWrite);
        }
    }

    private static IEnumerable<MapDifference> CompareRam(AddressRange piece, MapFindings found)
    {
        ulong first = Math.Max(piece.Start.Value, LegacyEnd);
        if (first > piece.Last.Value)
        {
            yield break;
        }

        AddressRange range = AddressRange.FromBounds(new GuestAddress(first), piece.Last);
        HashSet<string> ram = [.. found.View.Where(r => r.IsRam && r.Owner.StartsWith("ram-", StringComparison.Ordinal)).Select(r => r.Owner)];
        foreach (FoundRange other in Others(found.View, range, ram))
        {
            if (found.HiddenRam is { } hidden && hidden.Contains(other.Range))
            {
                continue;
            }

            yield return new(DifferenceKind.Ram, "RAM", $"at {other.Range}", other.Owner.Length == 0 ? "nothing" : other.Owner, null);
        }
    }

    // The parts of a range that someone else has, or nobody (an empty name). The view is sorted.
    private static IEnumerable<FoundRange> Others(IReadOnlyList<FoundRange> view, AddressRange range, IReadOnlyCollection<string> owners)
    {
        ulong at = range.Start.Value;
        foreach (FoundRange run in view)
        {
            AddressRange part = run.Range.Intersect(range);
            if (part.IsEmpty)
            {
                continue;
            }

            if (part.Start.Value > at)
            {
                yield return new FoundRange(new AddressRange(new GuestAddress(at), part.Start.Value - at), "", false);
            }

            if (!owners.Contains(run.Owner))
            {
                yield return run with { Range = part };
            }

            at = part.Last.Value + 1;
        }

        if (at <= range.Last.Value)
        {
            yield return new FoundRange(AddressRange.FromBounds(new GuestAddress(at), range.Last), "", false);
        }
    }

    private static string Words(PromisedBar bar) => bar.IsPinned ? $"{bar.Address}, where it is pinned" : $"{bar.Address}";

    /// <summary>Slots against the flat view: each shows what the view has there, and all memory of the view is in one or has a reason not to be.</summary>
    private static class SlotComparer
    {
        public static IEnumerable<MapDifference> Compare(MapFindings found, IReadOnlyList<FoundRange> slots)
        {
            foreach (FoundRange slot in slots)
            {
                if (!found.View.Any(r => r.IsRam && r.Owner == slot.Owner && r.IsReadOnly == slot.IsReadOnly && r.Range.Contains(slot.Range)))
                {
                    yield return new(DifferenceKind.Slot, $"the memory slot {slot.Range}", "what the map has there", $"a slot of {slot.Owner}", null);
                }
            }

            List<AddressRange> covered = [.. slots.Select(s => s.Range)];
            foreach (FoundRange run in found.View.Where(r => r.IsRam))
            {
                foreach (FoundTrapped trapped in found.Trapped.Where(t => t.Range.Overlaps(run.Range)))
                {
                    // What is smaller than a page cannot be a slot; that is no broken promise.
                    if (trapped.Range.Size >= Page)
                    {
                        yield return new(DifferenceKind.Slot, $"{run.Owner} at {trapped.Range}", "a memory slot", "every access exits", trapped.Reason);
                    }
                }

                IEnumerable<AddressRange> known = covered.Concat(found.Trapped.Select(t => t.Range));
                foreach (AddressRange gap in Gaps(run.Range, known))
                {
                    yield return new(DifferenceKind.Slot, $"{run.Owner} at {gap}", "a memory slot", "none", null);
                }
            }
        }
    }

    /// <summary>IOMMU mappings against the flat view: all memory is mapped, and nothing else is.</summary>
    private static class IommuComparer
    {
        public static IEnumerable<MapDifference> Compare(MapFindings found, IReadOnlyList<IommuMapping> mappings, string who)
        {
            foreach (IommuMapping mapping in mappings)
            {
                if (!mapping.IsMapped && (mapping.IsPeer || mapping.Range.Size < Page))
                {
                    continue;
                }

                if (!mapping.IsMapped)
                {
                    yield return new(DifferenceKind.Iommu, $"{mapping.Owner} at {mapping.Range}", $"to be reached by {who}", "not mapped",
                        mapping.Reason);
                }
                else if (Gaps(mapping.Range, found.View.Where(r => r.IsRam && r.Owner == mapping.Owner).Select(r => r.Range)).Any())
                {
                    yield return new(DifferenceKind.Iommu, $"the mapping {mapping.Range}", "what the map has there", $"a mapping of {mapping.Owner}", null);
                }
            }

            foreach (FoundRange run in found.View.Where(r => r is { IsRam: true, IsReadOnly: false } && r.Range.Size >= Page))
            {
                foreach (AddressRange gap in Gaps(run.Range, mappings.Select(m => m.Range)))
                {
                    yield return new(DifferenceKind.Iommu, $"{run.Owner} at {gap}", $"to be reached by {who}", "not mapped", null);
                }
            }
        }
    }

    // What of a range no other range covers, ascending.
    private static IEnumerable<AddressRange> Gaps(AddressRange range, IEnumerable<AddressRange> covering)
    {
        ulong at = range.Start.Value;
        foreach (AddressRange cover in covering.Where(range.Overlaps).Order())
        {
            AddressRange part = cover.Intersect(range);
            if (part.Start.Value > at)
            {
                yield return new AddressRange(new GuestAddress(at), part.Start.Value - at);
            }

            at = Math.Max(at, part.Last.Value + 1);
        }

        if (at <= range.Last.Value)
        {
            yield return AddressRange.FromBounds(new GuestAddress(at), range.Last);
        }
    }
}
