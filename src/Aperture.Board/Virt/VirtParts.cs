using Aperture.Devices.FwCfg;
using Aperture.Devices.Serial;
using Aperture.Memory;

namespace Aperture.Board.Virt;

/// <summary>What a machine of Arm's kind is built around beside what any board is.</summary>
/// <param name="Ram">Guest RAM.</param>
/// <param name="Line">The interrupt controller's input for a shared peripheral interrupt.</param>
/// <param name="Clock">Time.</param>
public sealed record VirtParts(GuestRam Ram, Func<uint, IInterruptLine> Line, TimeProvider Clock)
{
    /// <summary>What firmware learns of its machine, worked out once the board stands; null for no configuration device.</summary>
    public Func<VirtBoard, FwCfgItems>? Configuration { get; init; }

    /// <summary>Where the serial console's output goes.</summary>
    public ISerialBackend Serial { get; init; } = NullSerialBackend.Instance;
}
