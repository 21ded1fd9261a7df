namespace Aperture.Pci.Capabilities;

/// <summary>
/// Advanced error reporting, id 0x0001, version 2 (PCI Express 5.0, section 7.8.4). No error is ever raised by itself; masks, severities and status
/// behave and survive a hot reset.
/// </summary>
public sealed class AdvancedErrorCapability : ExtendedCapability
{
    /// <summary>Capability id.</summary>
    public const ushort CapabilityId = 0x0001;

    // Registers of section 7.8.4.
    private const int UncorrectableStatus = 0x04;
    private const int UncorrectableMask = 0x08;
    private const int UncorrectableSeverity = 0x0C;
    private const int CorrectableStatus = 0x10;
    private const int CorrectableMask = 0x14;
    private const int ControlRegister = 0x18;
    private const int RootErrorCommand = 0x2C;
    private const int RootErrorStatus = 0x30;
    private const int ErrorSource = 0x34;
    private const int EndpointSize = 0x2C;
    private const int RootPortSize = 0x38;

    // Data link protocol, surprise down, poisoned, flow control, completion timeout, completer abort, unexpected completion, overflow, malformed,
    // ECRC, unsupported request, ACS violation, internal.
    private const uint Uncorrectable = 0x007F_F030;

    // Receiver, bad TLP, bad DLLP, replay rollover, replay timeout, advisory non-fatal, internal, header log overflow.
    private const uint Correctable = 0x0000_F1C1;

    // What resets to masked: uncorrectable internal errors; advisory non-fatal, corrected internal, header log overflow.
    private const uint UncorrectableMasked = 1 << 22;
    private const uint CorrectableMasked = 7 << 13;

    // What resets to fatal: data link protocol, surprise down, flow control, overflow, malformed, internal.
    private const uint UncorrectableFatal = 1 << 4 | 1 << 5 | 1 << 13 | 1 << 17 | 1 << 18 | 1 << 22;

    // Correctable, non-fatal and fatal errors; what the status holds of each, and whether there were several.
    private const uint RootReporting = 7;
    private const uint RootErrors = 0x7F;

    private readonly bool _isRootPort;

    /// <summary>Makes the capability; a root port has three more registers.</summary>
    public AdvancedErrorCapability(bool isRootPort = false)
        : base(CapabilityId, 2, isRootPort ? RootPortSize : EndpointSize) => _isRootPort = isRootPort;

    /// <inheritdoc/>
    protected override void Define()
    {
        Config.Define(Offset + UncorrectableStatus, 4, 0, writeOneToClear: Uncorrectable, sticky: Uncorrectable);
        Config.Define(Offset + UncorrectableMask, 4, UncorrectableMasked, writable: Uncorrectable, sticky: Uncorrectable);
        Config.Define(Offset + UncorrectableSeverity, 4, UncorrectableFatal, writable: Uncorrectable, sticky: Uncorrectable);
        Config.Define(Offset + CorrectableStatus, 4, 0, writeOneToClear: Correctable, sticky: Correctable);
        Config.Define(Offset + CorrectableMask, 4, CorrectableMasked, writable: Correctable, sticky: Correctable);
        Config.Define(Offset + ControlRegister, 4, 0);
        if (_isRootPort)
        {
            Config.Define(Offset + RootErrorCommand, 4, 0, writable: RootReporting);
            Config.Define(Offset + RootErrorStatus, 4, 0, writeOneToClear: RootErrors, sticky: RootErrors);
            Config.Define(Offset + ErrorSource, 4, 0);
        }
    }
}
