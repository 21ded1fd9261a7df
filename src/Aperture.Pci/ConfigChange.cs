using Aperture.Pci.Ports;

namespace Aperture.Pci;

/// <summary>What a guest's configuration write changed beyond the register itself: what the machine has to apply.</summary>
[Flags]
public enum ConfigChange
{
    /// <summary>Nothing that anyone else has to know.</summary>
    None = 0,

    /// <summary>What decodes where may have changed: compute the <see cref="DecodeMap"/> again.</summary>
    DecodeMap = 1 << 0,

    /// <summary>MSI, MSI-X or INTx enabling or masking changed. The function has already acted on it.</summary>
    Interrupts = 1 << 1,

    /// <summary>Bus numbers, or which functions answer, changed. Routing already follows.</summary>
    BusNumbers = 1 << 2,

    /// <summary>Bridge control bit 6 rose: every function below was reset; reset their devices.</summary>
    SecondaryReset = 1 << 3,

    /// <summary>Function level reset: the function's registers were reset; reset its device.</summary>
    FunctionReset = 1 << 4,

    /// <summary>A BAR's value changed, decoded or not. The value is in <see cref="Bar.Programmed"/>.</summary>
    BarProgrammed = 1 << 5,

    /// <summary>The guest gave a pinned BAR another address: see <see cref="Bar.LastMoveAttempt"/> and <see cref="Bar.PinPolicy"/>.</summary>
    PinnedBarWrite = 1 << 6,

    /// <summary>The bus master bit changed: DMA is allowed or forbidden from here on.</summary>
    BusMaster = 1 << 7,

    /// <summary>The power state changed (D0 or D3hot).</summary>
    PowerState = 1 << 8,

    /// <summary>A device-specific register changed; the subclass that returned this says what it means.</summary>
    DeviceSpecific = 1 << 9,

    /// <summary>The guest changed a slot's power or indicators: see <see cref="PcieSlotPort"/>.</summary>
    SlotControl = 1 << 10,
}
