using Aperture.Pci.Registers;

namespace Aperture.Pci.Capabilities;

/// <summary>Device power states (PCI Bus Power Management 1.2, section 3.2). D1 and D2 are optional and not offered.</summary>
public enum PowerState : byte
{
    /// <summary>Working.</summary>
    D0 = 0,

    /// <summary>Off but still answering configuration accesses; BARs do not decode.</summary>
    D3Hot = 3,
}

/// <summary>
/// The power management capability, id 0x01 (PCI Bus Power Management 1.2, section 3.2; PCI Express 5.0, section 7.5.2). Version 3, D0 and D3hot,
/// no PME; leaving D3hot keeps the registers (No_Soft_Reset).
/// </summary>
public sealed class PowerManagementCapability : StandardCapability
{
    /// <summary>Capability id.</summary>
    public const byte CapabilityId = 0x01;

    /// <summary>Bytes of the capability.</summary>
    public const int Size = 8;

    // Registers of section 3.2.
    private const int Capabilities = 0x02;
    private const int ControlStatus = 0x04;
    private const byte VersionMask = 7;
    private const uint StateMask = 3;
    private const uint NoSoftReset = 1 << 3;

    private readonly byte _version;
    private readonly uint _keepsState;

    /// <summary>Makes the capability in state D0.</summary>
    /// <param name="version">Version of the specification that the capability follows, 1 to 3.</param>
    /// <param name="noSoftReset">Whether the function says that it keeps its registers when it leaves D3hot; they are kept either way.</param>
    public PowerManagementCapability(byte version = 3, bool noSoftReset = true)
        : base(CapabilityId, Size)
    {
        _version = (byte)(version & VersionMask);
        _keepsState = noSoftReset ? NoSoftReset : 0;
    }

    /// <summary>The state the guest put the function in.</summary>
    public PowerState State => (Config.Get(Offset + ControlStatus) & StateMask) == 0 ? PowerState.D0 : PowerState.D3Hot;

    /// <inheritdoc/>
    protected override void Define()
    {
        Config.Define(Offset + Capabilities, 2, _version);
        Config.Define(Offset + ControlStatus, 4, _keepsState, writable: StateMask);
    }

    /// <inheritdoc/>
    protected internal override ConfigChange OnWritten(in RegisterWrite write)
    {
        if (write.Register != ControlStatus || (write.Changed & StateMask) == 0)
        {
            return ConfigChange.None;
        }

        // A write of a state that is not supported completes and changes nothing (section 3.2.4).
        if ((write.After & StateMask) is 1 or 2)
        {
            Config.Set(Offset + ControlStatus, write.Before, StateMask);
            return ConfigChange.None;
        }

        Function.PowerStateChanged();

        // Where hardware has yet to wake, nothing decodes until it has.
        return ConfigChange.PowerState | (State == PowerState.D0 && !Function.IsReady ? ConfigChange.None : ConfigChange.DecodeMap);
    }
}
