using Aperture.Memory;

namespace Aperture.Assignment;

/// <summary>
/// Reports which BARs the devices' DMA reaches, as the kernel answered. A refusal is told once, until the region is elsewhere, is mapped, or has another
/// reason; of pieces smaller than a page, as there are next to an MSI-X table, one for each BAR. Added after the listener that asks the kernel.
/// </summary>
/// <param name="iommu">What is mapped.</param>
/// <param name="events">The machine's events.</param>
/// <param name="hasPeers">False while there is nobody to reach a BAR: then nothing is told.</param>
public sealed class PeerEvents(IommuListener iommu, IEventSink events, Func<bool> hasPeers) : IFlatViewListener
{
    private readonly Dictionary<string, IommuResult> _refused = new(StringComparer.Ordinal);
    private List<IommuResult> _mapped = [];

    /// <inheritdoc/>
    public void Commit(FlatView old, FlatView next, FlatViewDiff diff)
    {
        if (!events.Enabled || !hasPeers())
        {
            return;
        }

        List<IommuResult> mapped = [];
        List<IommuResult> refused = [];
        foreach (IommuResult result in iommu.Results)
        {
            if (result.IsPeerToPeer)
            {
                (result.IsMapped ? mapped : refused).Add(result);
            }
        }

        foreach (IommuResult result in _mapped.Except(mapped))
        {
            Write("p2p.unmapped", result);
        }

        foreach (IommuResult result in mapped.Except(_mapped))
        {
            _refused.Remove(result.Region.Name);
            Write("p2p.mapped", result);
        }

        foreach (IommuResult result in refused)
        {
            Refused(result);
        }

        _mapped = mapped;
    }

    private void Refused(IommuResult result)
    {
        bool isPiece = result.Range.Size < (ulong)Environment.SystemPageSize;
        string key = isPiece ? $"a piece of {BarOf(result.Region.Name)}" : result.Region.Name;
        if (_refused.TryGetValue(key, out IommuResult? told) && (isPiece || told == result))
        {
            return;
        }

        _refused[key] = result;
        Write("p2p.refused", result);
    }

    // Pieces are named for their BAR and their place in it: nvme0 bar0+0x3000.
    private static string BarOf(string region) => region.IndexOf('+') is > 0 and int end ? region[..end] : region;

    private void Write(string kind, IommuResult result) => events.Write(kind, json =>
    {
        json.WriteString("region", result.Region.Name);
        json.WriteRange(result.Range);
        if (result.Reason is { } reason)
        {
            json.WriteString("reason", reason);
        }
    });
}
