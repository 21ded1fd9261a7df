using Aperture.Machine.Events;
using Aperture.Memory;
using Aperture.Vfio;

namespace Aperture.Machine.Assigned;

/// <summary>Reports which BARs the devices' DMA reaches, as the kernel answered. Added after the listener that asks it.</summary>
/// <param name="iommu">What is mapped.</param>
/// <param name="events">The machine's events.</param>
internal sealed class PeerEvents(IommuListener iommu, EventLog events) : IFlatViewListener
{
    private List<IommuResult> _known = [];

    /// <inheritdoc/>
    public void Commit(FlatView old, FlatView next, FlatViewDiff diff)
    {
        if (!events.Enabled)
        {
            return;
        }

        List<IommuResult> now = [.. iommu.Results.Where(result => result.IsPeerToPeer)];
        foreach (IommuResult result in _known.Except(now).Where(result => result.IsMapped))
        {
            Write("p2p.unmapped", result);
        }

        foreach (IommuResult result in now.Except(_known))
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
