using Aperture.Pci.Capabilities;
using Aperture.Pci.Registers;

namespace Aperture.Pci.Ports;

/// <summary>
/// The slot registers of a root or downstream port (PCI Express 5.0, sections 7.5.3.9 to 7.5.3.11) and the events of section 6.7: attention button,
/// power controller, both indicators, surprise removal. Commands complete at once, so no completion is reported (No Command Completed Support).
/// The hierarchy's lock serialises everything here.
/// </summary>
internal sealed class PcieSlot
{
    private const uint AttentionButton = 1 << 0;
    private const uint PowerController = 1 << 1;
    private const uint AttentionIndicator = 1 << 3;
    private const uint PowerIndicator = 1 << 4;
    private const uint Surprise = 1 << 5;
    private const uint HotPlug = 1 << 6;
    private const uint NoCommandCompleted = 1 << 18;

    // Slot control: enables in the places of their events where the status has them too, and what the guest commands.
    private const uint InterruptEnable = 1 << 5;
    private const uint IndicatorOn = 1;
    private const uint IndicatorBlinking = 2;
    private const uint IndicatorOff = 3;
    private const int AttentionIndicatorShift = 6;
    private const int PowerIndicatorShift = 8;
    private const uint PowerOff = 1 << 10;
    private const uint LinkChangeEnable = 1 << 12;
    private const uint Indicators = 3 << AttentionIndicatorShift | 3 << PowerIndicatorShift;
    private const uint ControlWritable = ButtonPressed | PowerFault | PresenceChanged | InterruptEnable | Indicators | PowerOff | LinkChangeEnable;

    // Slot status.
    private const uint ButtonPressed = 1 << 0;
    private const uint PowerFault = 1 << 1;
    private const uint PresenceChanged = 1 << 3;
    private const uint Present = 1 << 6;
    private const uint LinkChanged = 1 << 8;
    private const uint StatusClearable = ButtonPressed | PowerFault | PresenceChanged | LinkChanged;

    private const uint Commands = Indicators | PowerOff;

    private readonly PciFunction _port;
    private readonly int _capabilities;
    private readonly int _control;
    private bool _signalled;

    /// <summary>Declares the registers. <paramref name="offset"/> is that of slot capabilities in configuration space.</summary>
    public PcieSlot(PciFunction port, int offset, ushort number)
    {
        _port = port;
        _capabilities = offset;
        _control = offset + 4;
        const uint Features = AttentionButton | PowerController | AttentionIndicator | PowerIndicator | Surprise | HotPlug | NoCommandCompleted;
        port.Config.Define(_capabilities, 4, Features | (uint)number << 19);
        port.Config.Define(_control, 2, IndicatorOff << AttentionIndicatorShift | IndicatorOn << PowerIndicatorShift, writable: ControlWritable);
        port.Config.Define(_control + 2, 2, 0, writeOneToClear: StatusClearable);
    }

    /// <summary>True while the guest has power on.</summary>
    public bool IsPowered => (Control & PowerOff) == 0;

    /// <summary>True when the guest turned power and the power indicator off: it has let go of the device (section 6.7.1.5).</summary>
    public bool IsReleased => !IsPowered && PowerIndicatorState == IndicatorOff;

    /// <summary>True while the guest blinks the power indicator: power is about to change (section 6.7.1.1.2).</summary>
    public bool IsPowerBlinking => PowerIndicatorState == IndicatorBlinking;

    /// <summary>True while something is in the slot.</summary>
    public bool IsOccupied => (Status & Present) != 0;

    private uint PowerIndicatorState => Control >> PowerIndicatorShift & 3;

    private uint Control => _port.Config.Get(_control) & 0xFFFF;

    private uint Status => _port.Config.Get(_control) >> 16;

    /// <summary>Says whether something is in the slot, without an event: a reset finds it so.</summary>
    public void SetPresence(bool present) => _port.Config.SetDefault(_control, present ? Present << 16 : 0, Present << 16);

    /// <summary>Something came or went while the guest runs.</summary>
    public void ReportPresenceChange(bool linkChanged) => Report(PresenceChanged | (linkChanged ? LinkChanged : 0));

    /// <summary>The link came up or went down.</summary>
    public void ReportLinkChange() => Report(LinkChanged);

    /// <summary>A press of the slot's button.</summary>
    public void PressButton() => Report(ButtonPressed);

    /// <summary>After a guest write of the register: what it commanded anew. The interrupt follows enables and cleared events.</summary>
    public SlotCommand Written(in RegisterWrite write)
    {
        DriveInterrupt();
        uint changed = write.Changed & Commands;
        return changed == 0 ? SlotCommand.None
            : (changed & PowerOff) == 0 ? SlotCommand.Indicators
            : IsPowered ? SlotCommand.PowerOn
            : SlotCommand.PowerOff;
    }

    /// <summary>After a reset: no event is signalled.</summary>
    public void Reset() => _signalled = false;

    private void Report(uint events)
    {
        _port.Config.Set(_control, _port.Config.Get(_control) | events << 16);
        DriveInterrupt();
    }

    // One interrupt for all events: a message when the first one that is enabled arrives, or the level of INTx (section 6.7.3.4).
    private void DriveInterrupt()
    {
        uint now = Control;
        uint enables = (now & (ButtonPressed | PowerFault | PresenceChanged)) | ((now & LinkChangeEnable) != 0 ? LinkChanged : 0);
        bool signal = (now & InterruptEnable) != 0 && (Status & enables & StatusClearable) != 0;
        bool rises = signal && !_signalled;
        _signalled = signal;
        MsiCapability? msi = _port.Find<MsiCapability>();
        if (msi is { IsEnabled: true })
        {
            _port.SetIntx(false);
            if (rises)
            {
                msi.Trigger(0);
            }
        }
        else
        {
            _port.SetIntx(signal);
        }
    }
}

/// <summary>What a write of slot control asked for.</summary>
internal enum SlotCommand : byte
{
    /// <summary>Nothing new.</summary>
    None,

    /// <summary>An indicator changed.</summary>
    Indicators,

    /// <summary>Power goes on.</summary>
    PowerOn,

    /// <summary>Power goes off.</summary>
    PowerOff,
}
