namespace Aperture.Firmware.Platform;

/// <summary>An I/O APIC (ACPI 6.5 5.2.12.3).</summary>
/// <param name="Address">Its register window, below 4 GiB.</param>
/// <param name="Id">Its APIC id.</param>
/// <param name="GsiBase">The global system interrupt of its first pin.</param>
public sealed record IoApicDescription(GuestAddress Address, byte Id, uint GsiBase);

/// <summary>An ISA interrupt that does not arrive at the global system interrupt of its own number, or not edge/high (ACPI 6.5 5.2.12.5).</summary>
/// <param name="IsaIrq">The ISA interrupt, 0 to 15.</param>
/// <param name="Gsi">The global system interrupt it is wired to.</param>
/// <param name="LevelTriggered">Level instead of the bus's edge.</param>
/// <param name="ActiveLow">Active low instead of the bus's active high.</param>
public sealed record IsaInterruptOverride(byte IsaIrq, uint Gsi, bool LevelTriggered = false, bool ActiveLow = false)
{
    /// <summary>The wiring of every PC: the timer's IRQ 0 at GSI 2, and the SCI's <paramref name="sciIrq"/> level, active high.</summary>
    public static IReadOnlyList<IsaInterruptOverride> Standard(byte sciIrq = 9) =>
        [new(0, 2), new(sciIrq, sciIrq, LevelTriggered: true)];
}

/// <summary>Where an interrupt pin of a device on the root bus arrives; becomes one _PRT entry (ACPI 6.5 6.2.13).</summary>
/// <param name="Device">Device number on the root bus, 0 to 31; the entry counts for all its functions.</param>
/// <param name="Pin">0 for INTA to 3 for INTD.</param>
/// <param name="Gsi">The global system interrupt. Level, active low, as PCI prescribes.</param>
public sealed record PciInterruptRoute(byte Device, byte Pin, uint Gsi);
