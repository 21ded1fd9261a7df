using Aperture.Machine.Events;
using Aperture.Memory;
using Aperture.Vfio;

namespace Aperture.Machine.Assigned;

/// <summary>Reports which BARs the devices' DMA reaches, as the kernel answered. Added after the listener that asks it.</summary>
/// <param name="iommu">What is mapped.</param>
/// <param name="wanted">True while there is a peer.</param>
/// <param name="events">The machine's events.</param>
internal sealed class PeerEvents(IommuListener iommu, Func<bool> wanted, EventLog events) : IFlatViewListener
{
    private readonly HashSet<(string Region, string Reason)> _refused = [];
    private List<IommuResult> _known = [];

    /// <inheritdoc/>
    public void Commit(FlatView old, FlatView next, FlatViewDiff diff)
    {
        if (!events.Enabled || !wanted())
        {
            return;
        }

        List<IommuResult> now = [.. iommu.Results.Where(result => result.IsPeerToPeer)];
        foreach (IommuResult result in _known.Except(now).Where(result => result.IsMapped))
        {
            Write("p2p.unmapped", result);
        }

        // A guest toggles decoding often; a refusal is worth one line.
        foreach (IommuResult result in now.Except(_known).Where(result => result.Reason is not { } reason || _refused.Add((result.Region.Name, reason))))
        {
            Write(result.IsMapped ? "p2p.mapped" : "p2p.refused", result);
        }

        _known = now;
    }

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
