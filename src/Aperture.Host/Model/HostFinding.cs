namespace Aperture.Host.Model;

/// <summary>How much a finding matters.</summary>
public enum HostFindingSeverity : byte
{
    /// <summary>The description contradicts itself: nothing should be planned from it.</summary>
    Error,

    /// <summary>Something is unusual or missing and may matter.</summary>
    Warning,

    /// <summary>Worth knowing.</summary>
    Note,
}

/// <summary>What a finding is about.</summary>
public enum HostFindingKind : byte
{
    /// <summary>Two BARs, or two sibling bridge windows, claim one address.</summary>
    Overlap,

    /// <summary>A size that no BAR can have.</summary>
    BarSize,

    /// <summary>A BAR or window lies outside what the bridge above forwards.</summary>
    OutsideWindow,

    /// <summary>A BAR, or the BARs of VFs, that the host gave no address.</summary>
    NoAddress,

    /// <summary>A BAR is not aligned to its size.</summary>
    Alignment,

    /// <summary>Bus numbers that do not nest.</summary>
    BusNumbers,

    /// <summary>A bridge between a function and its root is missing from the description.</summary>
    MissingBridge,

    /// <summary>Configuration space could not be read or disagrees with the rest.</summary>
    Configuration,
}

/// <summary>Something odd about a machine, in one sentence.</summary>
/// <param name="Severity">How much it matters.</param>
/// <param name="Kind">What it is about.</param>
/// <param name="Function">The function it is about.</param>
/// <param name="Text">The sentence; names the function and its ranges.</param>
public sealed record HostFinding(HostFindingSeverity Severity, HostFindingKind Kind, PciAddress Function, string Text);
