namespace Aperture.Placement.Platforms;

/// <summary>How the low hole, the PCI memory below 4 GiB, gets its size.</summary>
public enum LowHole
{
    /// <summary>From <see cref="PlatformLimits.LowRamCeiling"/> up; lower only when its content needs that.</summary>
    Usual,

    /// <summary>
    /// As small as its content allows, in steps of 64 MiB from the top; RAM gets the rest. ECAM goes next to the content unless it is pinned.
    /// </summary>
    Compact,
}
