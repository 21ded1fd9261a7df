using Aperture.Devices.Pc;
using Aperture.Memory;

namespace Aperture.Machine.Board;

/// <summary>Keeps the ACPI block at the ports that the chipset's registers say.</summary>
internal sealed class PmWindow(AcpiPmBlock block, ushort length)
{
    private readonly Region _region = Region.Trapped("acpi-pm", length, block);
    private ushort? _applied;

    /// <summary>Follows <paramref name="wanted"/>, the first port; null while the block does not decode.</summary>
    public void Update(AddressChange ports, ushort? wanted)
    {
        if (wanted == _applied)
        {
            return;
        }

        ports.Remove(_region);
        _applied = wanted;
        if (wanted is { } first)
        {
            ports.TryPlace(_region, new GuestAddress(first), RegionPriority.Legacy);
        }
    }
}
