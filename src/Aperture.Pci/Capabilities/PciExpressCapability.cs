using Aperture.Pci.Ports;
using Aperture.Pci.Registers;

namespace Aperture.Pci.Capabilities;

/// <summary>
/// The PCI Express capability, id 0x10, version 2 (PCI Express 5.0, section 7.5.3). Endpoints offer function level reset; root and downstream ports
/// have a slot (<see cref="PcieSlotPort"/>), link state and ARI forwarding.
/// </summary>
public sealed class PciExpressCapability : StandardCapability
{
    /// <summary>Capability id.</summary>
    public const byte CapabilityId = 0x10;

    // Registers of section 7.5.3.
    private const int Size = 0x3C;
    private const int Capabilities = 0x02;
    private const int DeviceCapabilities = 0x04;
    private const int DeviceControl = 0x08;
    private const int DeviceStatus = 0x0A;
    private const int LinkCapabilities = 0x0C;
    private const int LinkControl = 0x10;
    private const int LinkStatusRegister = 0x12;
    private const int SlotCapabilities = 0x14;
    private const int SlotControl = 0x18;
    private const int RootControl = 0x1C;
    private const int DeviceCapabilities2 = 0x24;
    private const int DeviceControl2 = 0x28;
    private const int LinkCapabilities2 = 0x2C;
    private const int LinkControl2 = 0x30;

    private const uint Version = 2;
    private const int TypeShift = 4;
    private const uint SlotImplemented = 1 << 8;

    private const uint MaxPayload256 = 1;
    private const uint ExtendedTags = 1 << 5;
    private const uint RoleBasedErrors = 1 << 15;

    // Relaxed ordering, no snoop and read requests of 512 bytes; all but the function reset can be written.
    private const uint DeviceControlDefault = 1 << 4 | 1 << 11 | 2 << 12;
    private const uint DeviceControlWritable = 0x7FFF;
    private const uint DeviceErrors = 0xF;
    private const uint RootControlWritable = 0xF;

    // ASPM, read completion boundary, common clock, extended synch, clock power management.
    private const uint LinkControlWritable = 0x01CB;
    private const uint LinkActiveReporting = 1 << 20;
    private const uint TargetSpeed = 0xF;
    private const int WidthShift = 4;
    private const int PortNumberShift = 24;

    // Without a link: 2.5 GT/s, one lane.
    private const uint SmallestLink = 1 | 1 << WidthShift;

    private const uint InitiateFunctionReset = 1 << 15;
    private const uint FunctionResetCapable = 1 << 28;
    private const uint AriForwarding = 1 << 5;
    private const uint AtomicEgressBlocking = 1 << 7;
    private const uint DataLinkActive = 1u << 29;
    private const uint LinkStatusMask = 0xFFFF_0000 & ~(3u << 30);

    private readonly PcieLink _link;
    private readonly ushort _slot;

    /// <summary>Makes the capability.</summary>
    /// <param name="type">What the function is; an endpoint on the root bus is <see cref="PciePortType.RootComplexEndpoint"/>.</param>
    /// <param name="slot">Physical slot number of a root or downstream port, 0 to 8191; also its port number's low 8 bits.</param>
    /// <param name="link">Speed and width; null is <see cref="PcieLink.Default"/>.</param>
    public PciExpressCapability(PciePortType type, ushort slot = 0, PcieLink? link = null)
        : base(CapabilityId, Size)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(slot, (ushort)0x1FFF);
        Type = type;
        _slot = slot;
        _link = link ?? PcieLink.Default;
    }

    /// <summary>What the function is.</summary>
    public PciePortType Type { get; }

    /// <summary>What a port does with AtomicOps.</summary>
    public AtomicOps Atomics { get; init; }

    /// <summary>True when the port forwards requests to all 256 functions of the device below.</summary>
    public bool IsAriForwardingEnabled => HasSlot && (Config.Get(Offset + DeviceControl2) & AriForwarding) != 0;

    private bool HasSlot => Type is PciePortType.RootPort or PciePortType.SwitchDownstream;

    private bool IsEndpoint => Type is PciePortType.Endpoint or PciePortType.RootComplexEndpoint;

    /// <summary>The slot's registers; null for everything but root and downstream ports.</summary>
    internal PcieSlot? Slot { get; private set; }

    /// <summary>For a port: whether a device is at the other end of the link. Shows in link and slot status, without an event.</summary>
    internal void SetPresence(bool present)
    {
        Config.SetDefault(Offset + LinkControl, LinkStatus(present) << 16, LinkStatusMask);
        Slot!.SetPresence(present);
        ShowLink();
    }

    /// <inheritdoc/>
    protected override void Define()
    {
        uint slotImplemented = HasSlot ? SlotImplemented : 0;
        Config.Define(Offset + Capabilities, 2, Version | (uint)Type << TypeShift | slotImplemented);

        Config.Define(Offset + DeviceCapabilities, 4, RoleBasedErrors | ExtendedTags | MaxPayload256 | (IsEndpoint ? FunctionResetCapable : 0));
        Config.Define(Offset + DeviceControl, 2, DeviceControlDefault, writable: DeviceControlWritable);
        Config.Define(Offset + DeviceStatus, 2, 0, writeOneToClear: DeviceErrors);
        if (Type != PciePortType.RootComplexEndpoint)
        {
            DefineLink();
        }

        if (HasSlot)
        {
            Slot = new PcieSlot(Function, Offset + SlotCapabilities, _slot);
        }

        if (Type == PciePortType.RootPort)
        {
            Config.Define(Offset + RootControl, 2, 0, writable: RootControlWritable);
        }

        uint ari = HasSlot ? AriForwarding : 0;
        Config.Define(Offset + DeviceCapabilities2, 4, ari | (uint)Atomics);
        Config.Define(Offset + DeviceControl2, 2, 0, writable: ari | (Atomics.HasFlag(AtomicOps.Routing) ? AtomicEgressBlocking : 0));
    }

    /// <inheritdoc/>
    protected internal override ConfigChange OnWritten(in RegisterWrite write)
    {
        if (write.Register == DeviceControl && IsEndpoint && (write.Written & InitiateFunctionReset) != 0)
        {
            return ConfigChange.FunctionReset;
        }

        if (write.Register == DeviceControl2 && (write.Changed & AriForwarding) != 0)
        {
            ApplyAriForwarding();
            return ConfigChange.BusNumbers;
        }

        return write.Register == SlotControl && Slot is { } written ? Commanded(written.Written(write)) : ConfigChange.None;
    }

    /// <inheritdoc/>
    protected internal override void OnReset(ResetKind kind)
    {
        Slot?.Reset();
        ApplyAriForwarding();
    }

    // A slot without power has no link, and what is in it loses its state (PCI Express 5.0, section 6.7.1.8).
    private ConfigChange Commanded(SlotCommand command)
    {
        if (command is SlotCommand.None or SlotCommand.Indicators)
        {
            return command == SlotCommand.None ? ConfigChange.None : ConfigChange.SlotControl;
        }

        PciBridge port = (PciBridge)Function;
        port.Bus?.Hierarchy?.InvalidateRoutes();
        ShowLink();
        if (Slot!.IsOccupied)
        {
            Slot.ReportLinkChange();
        }

        const ConfigChange Both = ConfigChange.SlotControl | ConfigChange.BusNumbers | ConfigChange.DecodeMap;
        if (command == SlotCommand.PowerOn)
        {
            return Both;
        }

        port.ResetSecondary(ResetKind.Cold);
        return Both | ConfigChange.SecondaryReset | ConfigChange.Interrupts;
    }

    private void ShowLink() => Config.Set(Offset + LinkControl, LinkStatus(Slot!.IsOccupied && Slot.IsPowered) << 16, LinkStatusMask);

    private void ApplyAriForwarding() => (Function as PciBridge)?.Secondary.SetAriForwarding(IsAriForwardingEnabled);

    private void DefineLink()
    {
        uint port = HasSlot ? (uint)(byte)_slot << PortNumberShift | LinkActiveReporting : 0;
        Config.Define(Offset + LinkCapabilities, 4, _link.Speed | (uint)_link.Width << WidthShift | port);
        bool up = !HasSlot;
        Config.Define(Offset + LinkControl, 2, 0, writable: LinkControlWritable);
        Config.Define(Offset + LinkStatusRegister, 2, LinkStatus(up));
        Config.Define(Offset + LinkCapabilities2, 4, ((1u << _link.Speed) - 1) << 1);
        Config.Define(Offset + LinkControl2, 2, _link.Speed, writable: TargetSpeed, sticky: TargetSpeed);
    }

    // Current speed and width; downstream ports also report whether the data link is active.
    private uint LinkStatus(bool up)
    {
        uint active = HasSlot && up ? DataLinkActive >> 16 : 0;
        return up ? _link.Speed | (uint)_link.Width << WidthShift | active : SmallestLink;
    }
}
