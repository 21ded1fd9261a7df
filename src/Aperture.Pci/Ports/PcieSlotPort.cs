using Aperture.Pci.Capabilities;

namespace Aperture.Pci.Ports;

/// <summary>
/// A port with a slot: its secondary bus is a link with one device, which may come and go while the guest runs (PCI Express 5.0, section 6.7).
/// The guest turns the slot's power on and off; without power nothing below answers.
/// </summary>
public abstract class PcieSlotPort : PciePort
{
    private protected PcieSlotPort(string name, PciIdentity identity, PciExpressCapability express)
        : base(name, identity, express) => AddCapability(new AcsCapability(AcsControls.Port));

    /// <summary>True while a device is in the slot.</summary>
    public bool IsOccupied => Secondary.Functions.Count != 0;

    /// <summary>True while the guest has the slot's power on.</summary>
    public bool IsPowered => Express.Slot!.IsPowered;

    /// <summary>True once the guest turned power and power indicator off: it uses the device no more, and it may be taken out.</summary>
    public bool IsReleased => Express.Slot!.IsReleased;

    /// <summary>True while the guest blinks the power indicator: it is about to turn the slot's power on or off (PCI Express 5.0, section 6.7.1.1.2).</summary>
    public bool IsPowerBlinking => Express.Slot!.IsPowerBlinking;

    private protected override bool IsSecondaryOff => !IsPowered;

    /// <summary>
    /// Tells the guest that a device was put in or taken out while it runs, after the secondary bus has it so: presence detect changed, and data link layer
    /// state changed while the power is on. Thread-safe.
    /// </summary>
    public void ReportPresenceChange() => Signal(slot => slot.ReportPresenceChange(linkChanged: IsPowered));

    /// <summary>
    /// Presses the slot's attention button: asks the guest to let go of the device. A guest may wait some seconds for a second press, which cancels.
    /// Thread-safe.
    /// </summary>
    public void PressAttentionButton() => Signal(slot => slot.PressButton());

    internal override void ChildrenChanged() => Express.SetPresence(IsOccupied);

    private void Signal(Action<PcieSlot> happens)
    {
        if (Bus?.Hierarchy is not { } hierarchy)
        {
            return;
        }

        lock (hierarchy.Sync)
        {
            hierarchy.BeginChange();
            try
            {
                happens(Express.Slot!);
            }
            finally
            {
                hierarchy.EndChange();
            }
        }
    }
}
