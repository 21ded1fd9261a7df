namespace Aperture.Pci.Registers;

/// <summary>The status register (PCI Local Bus 3.0, section 6.2.3).</summary>
[Flags]
public enum PciStatus : ushort
{
    /// <summary>Nothing to report.</summary>
    None = 0,

    /// <summary>INTx is asserted inside the function, whether or not it may drive the line.</summary>
    Interrupt = 1 << 3,

    /// <summary>There is a capability list.</summary>
    CapabilityList = 1 << 4,

    /// <summary>Master data parity error, cleared by writing one.</summary>
    MasterDataParityError = 1 << 8,

    /// <summary>Signalled target abort, cleared by writing one.</summary>
    SignaledTargetAbort = 1 << 11,

    /// <summary>Received target abort, cleared by writing one.</summary>
    ReceivedTargetAbort = 1 << 12,

    /// <summary>Received master abort, cleared by writing one.</summary>
    ReceivedMasterAbort = 1 << 13,

    /// <summary>Signalled system error, cleared by writing one.</summary>
    SignaledSystemError = 1 << 14,

    /// <summary>Detected parity error, cleared by writing one.</summary>
    DetectedParityError = 1 << 15,
}
