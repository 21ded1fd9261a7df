using Aperture.Devices.Pc;
using Aperture.Memory;

namespace Aperture.Board.Pc;

/// <summary>Keeps the ACPI block at the ports that the chipset's registers say.</summary>
internal sealed class PmWindow(AcpiPmBlock block, IPcChipset chipset) : IMapPart
{
    private readonly Region _region = Region.Trapped("acpi-pm", chipset.PmLength, block);
    private ushort? _applied;

    /// <inheritdoc/>
    public void Update(MapChange change)
    {
        ushort? wanted = chipset.PmBase;
        if (wanted == _applied)
        {
            return;
        }

        change.Ports.Remove(_region);
        _applied = wanted;
        if (wanted is { } first)
        {
            change.Ports.TryPlace(_region, new GuestAddress(first), RegionPriority.Legacy);
        }
    }
}
