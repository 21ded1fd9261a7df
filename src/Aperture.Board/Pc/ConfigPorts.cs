using Aperture.Devices;
using Aperture.Devices.Pc;
using Aperture.Pci;

namespace Aperture.Board.Pc;

/// <summary>
/// Ports CF8-CFF: the configuration mechanism, and the reset control register at CF9, which takes the single-byte accesses that the
/// address latch does not (PCI Local Bus 3.0, 3.2.2.3.2; ICH9 datasheet, 13.7.5).
/// </summary>
internal sealed class ConfigPorts(Cf8Mechanism mechanism, ResetControl reset) : IAccessHandler, IResettable
{
    private const ulong ResetOffset = ResetControl.Port - Cf8Mechanism.FirstPort;

    public void Reset()
    {
        mechanism.Address = 0;
        reset.Reset();
    }

    public AccessResult Read(ulong offset, int size, out ulong value) => offset == ResetOffset && size == 1
        ? reset.Read(0, 1, out value)
        : mechanism.Read(offset, size, out value);

    public AccessResult Write(ulong offset, int size, ulong value) => offset == ResetOffset && size == 1
        ? reset.Write(0, 1, value)
        : mechanism.Write(offset, size, value);
}
