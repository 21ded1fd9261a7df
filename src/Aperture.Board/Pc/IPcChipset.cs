using Aperture.Placement.Platforms;

namespace Aperture.Board.Pc;

/// <summary>
/// What a PC's chipset adds: where the memory below 1 MiB goes, how RAM is split, the ACPI block, interrupt routes. Called with the hierarchy's lock
/// held.
/// </summary>
internal interface IPcChipset : IChipset
{
    /// <summary>How the interrupt pins of the root bus are wired to the PIRQ inputs.</summary>
    PirqWiring Wiring { get; }

    /// <summary>Where PIRQ <paramref name="pirq"/> goes.</summary>
    PirqRoute RouteOf(int pirq);

    /// <summary>Ports of the ACPI block.</summary>
    ushort PmLength { get; }

    /// <summary>The first port of the ACPI block, or null while it does not decode.</summary>
    ushort? PmBase { get; }

    /// <summary>What the memory size registers say; null on a board without them.</summary>
    MemoryRegisters? MemorySize { get; }

    /// <summary>What the registers say of the RAM that only system management mode sees.</summary>
    SmramControl Smram { get; }

    /// <summary>Firmware has locked SMIs: they cannot be switched off any more.</summary>
    bool IsSmiLocked { get; }

    /// <summary>How piece <paramref name="segment"/> of C0000-FFFFF is routed (<see cref="PamRegisters"/>).</summary>
    PamAttribute Pam(int segment);
}
