namespace Aperture.Firmware.Platform;

/// <summary>Control field of a PCI host bridge's _OSC (PCI Firmware 3.3 4.5.1): what the platform leaves to the operating system.</summary>
[Flags]
public enum PcieControl : uint
{
    /// <summary>Nothing.</summary>
    None = 0,

    /// <summary>PCI Express native hot plug.</summary>
    NativeHotPlug = 1 << 0,

    /// <summary>SHPC native hot plug; no board here has an SHPC.</summary>
    ShpcHotPlug = 1 << 1,

    /// <summary>Native power management events.</summary>
    PowerManagementEvents = 1 << 2,

    /// <summary>Advanced error reporting.</summary>
    AdvancedErrorReporting = 1 << 3,

    /// <summary>The PCI Express capability structure; without it Linux asks for none of the others.</summary>
    CapabilityStructure = 1 << 4,

    /// <summary>Latency tolerance reporting; ports here have no LTR mechanism.</summary>
    LatencyToleranceReporting = 1 << 5,

    /// <summary>
    /// Everything the boards' ports implement. There is no firmware behind the tables that could handle hot plug, PME or errors in the guest's
    /// stead, so they are all the guest's; SHPC and LTR stay masked because no port has them.
    /// </summary>
    Default = NativeHotPlug | PowerManagementEvents | AdvancedErrorReporting | CapabilityStructure,
}
