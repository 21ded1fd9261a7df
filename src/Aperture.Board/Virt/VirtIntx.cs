using Aperture.Placement.Platforms;

namespace Aperture.Board.Virt;

/// <summary>
/// The interrupt pins of the root bus: four shared peripheral interrupts, which the slots rotate through. Interrupts are numbered as such here, input n being
/// INTID 32 + n.
/// </summary>
internal sealed class VirtIntx(Func<uint, IInterruptLine> line) : IIntxWiring
{
    private const int Inputs = 4;

    public uint GsiOf(int device, int pin) => VirtMap.IntxSpi + (uint)((device + pin) % Inputs);

    public IInterruptLine LineOf(uint gsi) => line(gsi);
}
