namespace Aperture.Memory;

/// <summary>A PCI function that says what stands behind its BARs. For each BAR exactly one of the two is not null.</summary>
public interface IBarBacking
{
    /// <summary>
    /// What answers BAR <paramref name="index"/> (6 for the ROM) with offsets from its start; null when memory stands behind it or there is no such BAR.
    /// </summary>
    IAccessHandler? Handler(int index);

    /// <summary>
    /// The memory behind BAR <paramref name="index"/>, as big as the BAR and owned by the device; null when a handler answers it. The ROM's is to be mapped
    /// read-only.
    /// </summary>
    RamBlock? Memory(int index);
}
