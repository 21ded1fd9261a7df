namespace Aperture.Pci;

/// <summary>From when on pins are in force.</summary>
public enum PinTiming : byte
{
    /// <summary>Always: also while firmware enumerates PCI.</summary>
    Always,

    /// <summary>
    /// From the handover on: firmware places pinned BARs like all others, and the plan is put in place when the operating system takes the machine over.
    /// </summary>
    Handover,
}
