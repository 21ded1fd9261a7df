namespace Aperture;

/// <summary>Which board a machine is.</summary>
public enum BoardKind
{
    /// <summary>Intel Q35 with ICH9: the host bridge is a PCI Express root (PNP0A08, compatible with PNP0A03).</summary>
    Q35,

    /// <summary>Intel 440FX with PIIX: a conventional host bridge (PNP0A03), no ECAM and no _OSC.</summary>
    I440Fx,

    /// <summary>The virt machine of arm64: no chipset of anybody's, a PCI Express root that is reached through ECAM alone, devices in memory only.</summary>
    Virt,
}
