using Aperture.Linux;
using Aperture.Memory;

namespace Aperture.Assignment;

/// <summary>What became of a range of memory that assigned devices should reach.</summary>
/// <param name="Range">The guest addresses, which are the devices' too.</param>
/// <param name="Region">The region there.</param>
/// <param name="Reason">Null when it is mapped, otherwise why not, as the end of a sentence.</param>
public sealed record IommuResult(AddressRange Range, Region Region, string? Reason)
{
    /// <summary>Devices reach the range.</summary>
    public bool IsMapped => Reason is null;

    /// <summary>The range is a device's BAR, so that the result is about peer-to-peer access.</summary>
    public bool IsPeerToPeer => Region.Kind == RegionKind.Device;
}

/// <summary>
/// Keeps what assigned devices reach equal to the view: after every change exactly the RAM, read-only memory and device memory of the view is mapped, at its
/// guest address, less what the host refused, which is tried again at the next change. Only what differs is touched; unmapping comes first.
/// <para>
/// Read-only memory (ROM) is mapped for reading: a device that reads from it gets the bytes that a CPU gets, and its writes fault in the IOMMU. No mapping
/// crosses 1 MiB, so that switching the legacy ranges below (PAM, VGA) never takes the main memory away from devices that use it.
/// </para>
/// </summary>
public sealed class IommuListener : IFlatViewListener
{
    private const ulong LegacyEnd = 1UL << 20;

    private readonly IIommuMap _iommu;
    private readonly Func<bool> _hasPeers;
    private readonly string _alone;

    // By start address. Touched only inside Commit, under the space's change lock.
    private readonly SortedDictionary<ulong, MemorySlot> _mapped = [];
    private FlatView _view = FlatView.Empty;

    // True when the last change left nothing to try again.
    private bool _settled;

    // Replaced as a whole by Commit, read by whoever reports.
    private volatile IReadOnlyList<IommuResult> _results = [];
    private volatile IReadOnlyList<IommuResult> _stale = [];

    /// <summary>Makes a listener over an empty I/O address space.</summary>
    /// <param name="iommu">What makes the mappings.</param>
    /// <param name="hasPeers">
    /// False while one device is alone: nobody could reach its BARs, so they are not mapped, and a guest that switches decoding pays for no change of the
    /// IOMMU's tables. Asked at each change that touches memory; the first of a second device's BARs to decode is one. Always true when left out.
    /// </param>
    /// <param name="alone">Why device memory is not mapped where that is false.</param>
    public IommuListener(IIommuMap iommu, Func<bool>? hasPeers = null, string alone = "no other device is assigned")
    {
        ArgumentNullException.ThrowIfNull(iommu);
        _iommu = iommu;
        _hasPeers = hasPeers ?? (static () => true);
        _alone = alone;
    }

    /// <summary>What is mapped and what is not and why, in address order. A snapshot.</summary>
    public IReadOnlyList<IommuResult> Results => _results;

    /// <summary>What the host did not take back although the view has it no more. A snapshot.</summary>
    public IReadOnlyList<IommuResult> Stale => _stale;

    /// <inheritdoc/>
    /// <exception cref="ApertureException">The host did not map RAM that the guest needs, or did not take a mapping back.</exception>
    public void Commit(FlatView old, FlatView next, FlatViewDiff diff)
    {
        ArgumentNullException.ThrowIfNull(next);
        ArgumentNullException.ThrowIfNull(diff);
        _view = next;
        if (_settled && !Touches(diff))
        {
            return;
        }

        SlotPlan plan = SlotPlan.For(next, int.MaxValue);
        SortedDictionary<ulong, MemorySlot> wanted = [];
        List<IommuResult> results = [.. plan.Trapped.Select(static left => new IommuResult(left.Range, left.Region, left.Reason))];
        bool hasPeers = _hasPeers();
        foreach (MemorySlot slot in plan.Slots)
        {
            if (slot.Region.Block!.Faulting is not null)
            {
                results.Add(new IommuResult(slot.Range, slot.Region, "its pages come and go while the guest runs"));
            }
            else if (slot.Region.Kind == RegionKind.Device && !hasPeers)
            {
                results.Add(new IommuResult(slot.Range, slot.Region, _alone));
            }
            else
            {
                Cut(slot, wanted);
            }
        }

        string? fault = UnmapOthers(wanted);
        _settled = fault is null;
        string? missing = MapRest(wanted, results);
        results.Sort(static (left, right) => left.Range.CompareTo(right.Range));
        _results = results;
        _stale = [.. _mapped.Where(each => !wanted.TryGetValue(each.Key, out MemorySlot slot) || slot != each.Value)
            .Select(static each => new IommuResult(each.Value.Range, each.Value.Region, null))];
        if ((fault ?? missing) is { } sentence)
        {
            throw new ApertureException(sentence, ApertureException.HostFailure);
        }
    }

    /// <summary>Compares the mappings in place with the view: null when they agree, otherwise the first difference in one sentence.</summary>
    public string? Verify()
    {
        TrappedRange[] rest =
            [.. _results.Where(static result => !result.IsMapped).Select(static result => new TrappedRange(result.Range, result.Region, result.Reason!))];
        return SlotInvariant.Check(_view, [.. _mapped.Values], rest) is { } difference ? $"the IOMMU: {difference}" : null;
    }

    private static bool Touches(FlatViewDiff diff)
    {
        foreach (FlatRange run in diff.Removed)
        {
            if (run.Region.Block is not null)
            {
                return true;
            }
        }

        foreach (FlatRange run in diff.Added)
        {
            if (run.Region.Block is not null)
            {
                return true;
            }
        }

        return false;
    }

    private static void Cut(MemorySlot slot, SortedDictionary<ulong, MemorySlot> wanted)
    {
        ulong start = slot.Range.Start.Value;
        if (start < LegacyEnd && slot.Range.Last.Value >= LegacyEnd)
        {
            ulong below = LegacyEnd - start;
            wanted.Add(start, slot with { Range = new AddressRange(slot.Range.Start, below) });
            slot = slot with { Range = new AddressRange(new GuestAddress(LegacyEnd), slot.Range.Size - below), Host = slot.Host + below };
        }

        wanted.Add(slot.Range.Start.Value, slot);
    }

    private string? UnmapOthers(SortedDictionary<ulong, MemorySlot> wanted)
    {
        string? fault = null;
        foreach (MemorySlot slot in _mapped.Values.ToArray())
        {
            if (wanted.TryGetValue(slot.Range.Start.Value, out MemorySlot same) && same == slot)
            {
                continue;
            }

            int errno = _iommu.Unmap(slot.Range);
            if (errno == 0)
            {
                _mapped.Remove(slot.Range.Start.Value);
            }
            else
            {
                fault ??= $"the host did not take the devices' mapping of {slot.Region.Name} at {slot.Range} back: {MemoryMap.Describe(errno)}";
            }
        }

        return fault;
    }

    // Maps what is wanted and not there; the sentence of the first range that the guest cannot do without.
    private string? MapRest(SortedDictionary<ulong, MemorySlot> wanted, List<IommuResult> results)
    {
        string? missing = null;
        ulong locked = 0;
        foreach (MemorySlot slot in wanted.Values)
        {
            locked += slot.Region.Kind == RegionKind.Device ? 0 : slot.Range.Size;
        }

        foreach (MemorySlot slot in wanted.Values)
        {
            string? reason = null;
            if (!_mapped.TryGetValue(slot.Range.Start.Value, out MemorySlot there))
            {
                int errno = _iommu.Map(slot.Range, slot.Host, !slot.IsReadOnly);
                reason = errno == 0 ? null : _iommu.WhyNot(errno, slot.Range, locked, slot.Region.Kind == RegionKind.Device);
            }
            else if (there != slot)
            {
                reason = "another mapping is still there, because the kernel did not take it back";
            }

            if (reason is null)
            {
                _mapped[slot.Range.Start.Value] = slot;
            }
            else
            {
                _settled = false;
                bool must = slot.Region.MustBeMapped && !slot.IsReadOnly;
                missing ??= must ? $"{slot.Region.Name} at {slot.Range} cannot be reached by the assigned devices: {reason}" : null;
            }

            results.Add(new IommuResult(slot.Range, slot.Region, reason));
        }

        return missing;
    }
}
