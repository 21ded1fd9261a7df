using Aperture.Pci.Registers;

namespace Aperture.Pci.Capabilities;

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

/// <summary>Access control services, id 0x000D (PCI Express 5.0, section 7.7.8).</summary>
public sealed class AcsCapability : ExtendedCapability
{
    /// <summary>Capability id.</summary>
    public const ushort CapabilityId = 0x000D;

    private const int Size = 8;

    // Both registers share one word, which is how writes are told (section 7.7.8).
    private const int Capabilities = 0x04;
    private const int Control = 0x06;
    private readonly AcsControls _offered;

    /// <summary>Makes the capability; the guest may turn on what is <paramref name="offered"/>.</summary>
    public AcsCapability(AcsControls offered)
        : base(CapabilityId, 1, Size) => _offered = offered;

    /// <summary>What the guest turned on. Peer-to-peer below one switch needs request and completion redirect off.</summary>
    public AcsControls Enabled => (AcsControls)(Config.Get(Offset + Capabilities) >> 16);

    /// <inheritdoc/>
    protected override void Define()
    {
        Config.Define(Offset + Capabilities, 2, (uint)_offered);
        Config.Define(Offset + Control, 2, 0, writable: (uint)_offered);
    }

    /// <inheritdoc/>
    protected internal override ConfigChange OnWritten(in RegisterWrite write) =>
        write.Register == Capabilities && write.Changed != 0 ? ConfigChange.DeviceSpecific : ConfigChange.None;
}
