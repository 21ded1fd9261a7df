namespace Aperture.Assignment;

/// <summary>Interrupt numbers of a PCI device (linux/vfio.h, VFIO_PCI_*_IRQ_INDEX).</summary>
public static class VfioIrqIndex
{
    /// <summary>INTx.</summary>
    public const int Intx = 0;

    /// <summary>MSI.</summary>
    public const int Msi = 1;

    /// <summary>MSI-X.</summary>
    public const int Msix = 2;

    /// <summary>An uncorrected error that the host saw.</summary>
    public const int Error = 3;

    /// <summary>The host asks for the device back.</summary>
    public const int Request = 4;
}

/// <summary>An interrupt kind of a device, as VFIO_DEVICE_GET_IRQ_INFO describes it.</summary>
/// <param name="Index">Its number.</param>
/// <param name="Count">Vectors; 0 when the device has it not.</param>
/// <param name="Maskable">The host can mask it.</param>
/// <param name="AutoMasked">The kernel masks it whenever it fires (INTx).</param>
/// <param name="CanGrow">Vectors can be enabled later without disabling the others (VFIO_IRQ_INFO_NORESIZE is clear).</param>
public sealed record VfioIrq(int Index, int Count, bool Maskable, bool AutoMasked, bool CanGrow);
