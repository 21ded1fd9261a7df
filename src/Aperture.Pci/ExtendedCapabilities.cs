namespace Aperture.Pci;

/// <summary>Access control services, id 0x000D (PCI Express 5.0, section 7.7.8).</summary>
public sealed class AcsCapability : ExtendedCapability
{
    /// <summary>Capability id.</summary>
    public const ushort CapabilityId = 0x000D;

    private const int Control = 4;
    private readonly AcsControls offered;

    /// <summary>Makes the capability; the guest may turn on what is <paramref name="offered"/>.</summary>
    public AcsCapability(AcsControls offered)
        : base(CapabilityId, 1, 8) => this.offered = offered;

    /// <summary>What the guest turned on. Peer-to-peer below one switch needs request and completion redirect off.</summary>
    public AcsControls Enabled => (AcsControls)(Config.Get(Offset + Control) >> 16);

    /// <inheritdoc/>
    protected override void Define()
    {
        Config.Define(Offset + Control, 2, (uint)offered);
        Config.Define(Offset + Control + 2, 2, 0, writable: (uint)offered);
    }

    /// <inheritdoc/>
    protected internal override ConfigChange OnWritten(in RegisterWrite write) =>
        write.Register == Control && write.Changed != 0 ? ConfigChange.DeviceSpecific : ConfigChange.None;
}

/// <summary>The controls of access control services, as in both its registers.</summary>
[Flags]
public enum AcsControls : ushort
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>Source validation.</summary>
    SourceValidation = 1 << 0,

    /// <summary>Translation blocking.</summary>
    TranslationBlocking = 1 << 1,

    /// <summary>Peer-to-peer request redirect.</summary>
    RequestRedirect = 1 << 2,

    /// <summary>Peer-to-peer completion redirect.</summary>
    CompletionRedirect = 1 << 3,

    /// <summary>Upstream forwarding.</summary>
    UpstreamForwarding = 1 << 4,

    /// <summary>Direct translated peer-to-peer.</summary>
    DirectTranslated = 1 << 6,

    /// <summary>What a root or downstream port offers.</summary>
    Port = SourceValidation | TranslationBlocking | RequestRedirect | CompletionRedirect | UpstreamForwarding | DirectTranslated,
}

/// <summary>Alternative routing-id interpretation, id 0x000E (PCI Express 5.0, section 7.8.8): 8-bit function numbers. The bus chains the functions.</summary>
public sealed class AriCapability : ExtendedCapability
{
    /// <summary>Capability id.</summary>
    public const ushort CapabilityId = 0x000E;

    /// <summary>Makes the capability, chained to nothing.</summary>
    public AriCapability()
        : base(CapabilityId, 1, 8)
    {
    }

    /// <summary>The next function number of the device; 0 ends the chain.</summary>
    public byte Next => (byte)(Config.Get(Offset + 4) >> 8);

    internal void SetNext(byte function) => Config.SetDefault(Offset + 4, (uint)function << 8, 0xFF00);

    /// <inheritdoc/>
    protected override void Define() => Config.Define(Offset + 4, 4, 0);
}

/// <summary>Device serial number, id 0x0003 (PCI Express 5.0, section 7.9.3).</summary>
public sealed class SerialNumberCapability : ExtendedCapability
{
    /// <summary>Capability id.</summary>
    public const ushort CapabilityId = 0x0003;

    private readonly ulong serial;

    /// <summary>Makes the capability; <paramref name="serial"/> is an EUI-64.</summary>
    public SerialNumberCapability(ulong serial)
        : base(CapabilityId, 1, 12) => this.serial = serial;

    /// <inheritdoc/>
    protected override void Define()
    {
        Config.Define(Offset + 4, 4, (uint)serial);
        Config.Define(Offset + 8, 4, (uint)(serial >> 32));
    }
}

/// <summary>
/// Advanced error reporting, id 0x0001, version 2 (PCI Express 5.0, section 7.8.4). No error is ever raised by itself; masks, severities and status
/// behave and survive a hot reset.
/// </summary>
public sealed class AdvancedErrorCapability : ExtendedCapability
{
    /// <summary>Capability id.</summary>
    public const ushort CapabilityId = 0x0001;

    // Data link protocol, surprise down, poisoned, flow control, completion timeout, completer abort, unexpected completion, overflow, malformed,
    // ECRC, unsupported request, ACS violation, internal.
    private const uint Uncorrectable = 0x007F_F030;

    // Receiver, bad TLP, bad DLLP, replay rollover, replay timeout, advisory non-fatal, internal, header log overflow.
    private const uint Correctable = 0x0000_F1C1;

    private readonly bool isRootPort;

    /// <summary>Makes the capability; a root port has three more registers.</summary>
    public AdvancedErrorCapability(bool isRootPort = false)
        : base(CapabilityId, 2, isRootPort ? 0x38 : 0x2C) => this.isRootPort = isRootPort;

    /// <inheritdoc/>
    protected override void Define()
    {
        Config.Define(Offset + 0x04, 4, 0, writeOneToClear: Uncorrectable, sticky: Uncorrectable);
        Config.Define(Offset + 0x08, 4, 0x0040_0000, writable: Uncorrectable, sticky: Uncorrectable);
        Config.Define(Offset + 0x0C, 4, 0x0046_2030, writable: Uncorrectable, sticky: Uncorrectable);
        Config.Define(Offset + 0x10, 4, 0, writeOneToClear: Correctable, sticky: Correctable);
        Config.Define(Offset + 0x14, 4, 0x0000_E000, writable: Correctable, sticky: Correctable);
        Config.Define(Offset + 0x18, 4, 0);
        if (isRootPort)
        {
            Config.Define(Offset + 0x2C, 4, 0, writable: 0x7);
            Config.Define(Offset + 0x30, 4, 0, writeOneToClear: 0x7F, sticky: 0x7F);
            Config.Define(Offset + 0x34, 4, 0);
        }
    }
}
