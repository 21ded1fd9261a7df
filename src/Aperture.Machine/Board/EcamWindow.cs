using Aperture.Machine.Events;
using Aperture.Memory;
using Aperture.Pci;

namespace Aperture.Machine.Board;

/// <summary>Keeps the ECAM window in guest memory at what PCIEXBAR says.</summary>
internal sealed class EcamWindow(PciHierarchy hierarchy, EventLog events)
{
    private Region? _region;
    private PciExBar _applied;

    /// <summary>The window that decodes, or null.</summary>
    public AddressRange? Current => _applied.Enabled ? _applied.Range : null;

    /// <summary>Follows <paramref name="wanted"/>.</summary>
    public void Update(AddressChange change, PciExBar wanted)
    {
        if (wanted == _applied || (!wanted.Enabled && !_applied.Enabled))
        {
            return;
        }

        if (_region is not null)
        {
            change.Remove(_region);
            _region = null;
        }

        if (wanted.Enabled)
        {
            _region = Region.Trapped("ecam", wanted.Size, new EcamMechanism(hierarchy));
            change.TryPlace(_region, wanted.Range.Start, RegionPriority.Ecam);
        }

        // Of a window that is gone the log says where it was.
        AddressRange told = wanted.Enabled ? wanted.Range : _applied.Range;
        _applied = wanted;
        events.Write(wanted.Enabled ? "ecam.enabled" : "ecam.disabled", json => json.WriteRange(told));
    }
}
