using Aperture.Pci.Registers;

namespace Aperture.Pci;

/// <summary>
/// A virtual function of a function with an SR-IOV capability (PCI Express 5.0, section 9.3.4): vendor and device id read as ones, it has no BAR registers and
/// no memory enable of its own, because the capability has both for all VFs. It is on no bus: it answers while the capability shows it
/// (<see cref="Capabilities.SriovCapability"/>).
/// </summary>
public class VirtualFunction : PciFunction
{
    private const ushort NoId = 0xFFFF;

    /// <summary>Makes VF <paramref name="number"/>, the first being 0, of <paramref name="physical"/>.</summary>
    public VirtualFunction(PciFunction physical, int number)
        : base($"{physical.Name}.vf{number}", physical.Identity with { Vendor = NoId, Device = NoId })
    {
        Physical = physical;
        Number = number;
        Config.Define(PciRegisters.Command, 2, 0, writable: (uint)PciCommand.BusMaster);
        Config.Define(PciRegisters.CacheLineSize, 1, 0);
        Config.Define(PciRegisters.InterruptLine, 1, 0);
    }

    /// <summary>The function that has it.</summary>
    public PciFunction Physical { get; }

    /// <summary>Which VF it is, the first being 0.</summary>
    public int Number { get; }

    /// <summary>How far its routing id lies above the physical function's.</summary>
    public int Distance { get; internal set; }

    /// <inheritdoc/>
    public override Bdf Bdf => new((ushort)(Physical.Bdf.RoutingId + Distance));
}
