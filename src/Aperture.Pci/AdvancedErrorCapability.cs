namespace Aperture.Pci;

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

    private readonly bool _isRootPort;

    /// <summary>Makes the capability; a root port has three more registers.</summary>
    public AdvancedErrorCapability(bool isRootPort = false)
        : base(CapabilityId, 2, isRootPort ? 0x38 : 0x2C) => _isRootPort = isRootPort;

    /// <inheritdoc/>
    protected override void Define()
    {
        Config.Define(Offset + 0x04, 4, 0, writeOneToClear: Uncorrectable, sticky: Uncorrectable);
        Config.Define(Offset + 0x08, 4, 0x0040_0000, writable: Uncorrectable, sticky: Uncorrectable);
        Config.Define(Offset + 0x0C, 4, 0x0046_2030, writable: Uncorrectable, sticky: Uncorrectable);
        Config.Define(Offset + 0x10, 4, 0, writeOneToClear: Correctable, sticky: Correctable);
        Config.Define(Offset + 0x14, 4, 0x0000_E000, writable: Correctable, sticky: Correctable);
        Config.Define(Offset + 0x18, 4, 0);
        if (_isRootPort)
        {
            Config.Define(Offset + 0x2C, 4, 0, writable: 0x7);
            Config.Define(Offset + 0x30, 4, 0, writeOneToClear: 0x7F, sticky: 0x7F);
            Config.Define(Offset + 0x34, 4, 0);
        }
    }
}
