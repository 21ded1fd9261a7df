namespace Aperture.Pci;

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

    private protected override bool IsSecondaryOff => !IsPowered;

    /// <summary>
    /// Puts a device in and tells the guest: presence detect changed, and data link layer state changed when the power is on. The caller then applies the
    /// decode map. Thread-safe.
    /// </summary>
    /// <param name="functions">Place and function; all of one device.</param>
    /// <exception cref="ApertureException">The slot is occupied, or a place is taken or not of device 0.</exception>
    public void Insert(params ReadOnlySpan<KeyValuePair<byte, PciFunction>> functions)
    {
        if (Bus?.Hierarchy is not { } hierarchy)
        {
            throw new ApertureException($"{Name} is on no bus");
        }

        lock (hierarchy.Sync)
        {
            if (IsOccupied)
            {
                throw new ApertureException($"{Secondary.Functions[0].Name} is in the slot of {Name} already; detach it first");
            }

            hierarchy.BeginChange();
            try
            {
                foreach ((byte place, PciFunction function) in functions)
                {
                    Secondary.Add(place, function);
                }

                Express.Slot!.ReportPresenceChange(linkChanged: IsPowered);
            }
            finally
            {
                hierarchy.EndChange();
            }
        }
    }

    /// <summary>
    /// Takes out whatever is in the slot, at once, and tells the guest. For an orderly removal the guest has turned the power off before
    /// (<see cref="IsReleased"/>). The caller then applies the decode map. Thread-safe.
    /// </summary>
    /// <returns>What was in it, depth first.</returns>
    public IReadOnlyList<PciFunction> TakeOut()
    {
        if (Bus?.Hierarchy is not { } hierarchy)
        {
            return [];
        }

        lock (hierarchy.Sync)
        {
            List<PciFunction> taken = [.. PciHierarchy.FunctionsBelow(Secondary)];
            if (taken.Count == 0)
            {
                return taken;
            }

            hierarchy.BeginChange();
            try
            {
                // Interrupts that the device asserts end with it.
                foreach (PciFunction function in taken)
                {
                    function.SetIntx(false);
                }

                foreach (PciFunction function in Secondary.Functions.ToArray())
                {
                    Secondary.Remove(function);
                }

                Express.Slot!.ReportPresenceChange(linkChanged: IsPowered);
            }
            finally
            {
                hierarchy.EndChange();
            }

            return taken;
        }
    }

    /// <summary>Presses the slot's attention button: asks the guest to let go of the device. A guest may wait some seconds for a second press, which cancels. Thread-safe.</summary>
    public void PressAttentionButton()
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
                Express.Slot!.PressButton();
            }
            finally
            {
                hierarchy.EndChange();
            }
        }
    }

    internal override void ChildrenChanged() => Express.SetPresence(IsOccupied);
}
