using Aperture.Memory;
using Aperture.Pci;
using Aperture.Placement.Map;
using Aperture.Placement.Platforms;

namespace Aperture.Machine.Board;

/// <summary>
/// What makes a board the board it is: the functions of its chipset and what their registers do to the address spaces. Everything else is
/// <see cref="PciBoard"/>'s. Called with the hierarchy's lock held, or before vCPUs run.
/// </summary>
internal interface IChipset : IFunctionMaker
{
    /// <summary>The board has PCI Express.</summary>
    bool IsExpress { get; }

    /// <summary>How the interrupt pins of the root bus are wired.</summary>
    PirqWiring Wiring { get; }

    /// <summary>Ports of the ACPI block.</summary>
    ushort PmLength { get; }

    /// <summary>The first port of the ACPI block, or null while it does not decode.</summary>
    ushort? PmBase { get; }

    /// <summary>The ECAM window that decodes now, as of the last <see cref="Update"/>; null while there is none.</summary>
    AddressRange? Ecam { get; }

    /// <summary>What the memory size registers say; null on a board without them.</summary>
    MemoryRegisters? MemorySize { get; }

    /// <summary>How piece <paramref name="segment"/> of C0000-FFFFF is routed (<see cref="PamRegisters"/>).</summary>
    PamAttribute Pam(int segment);

    /// <summary>Where PIRQ <paramref name="pirq"/> goes.</summary>
    PirqRoute RouteOf(int pirq);

    /// <summary>True when registers of <paramref name="function"/>'s own, other than BARs and windows, say what is where.</summary>
    bool Routes(PciFunction function);

    /// <summary>Brings what the chipset places in memory to what its registers say, within the caller's change.</summary>
    void Update(AddressChange memory);

    /// <summary>Sets what the memory size registers hold after a reset.</summary>
    void SetMemorySize(MemoryRegisters registers);

    /// <summary>Programs the registers as firmware leaves them, for a direct boot.</summary>
    void Program(PlacementMap map);
}
