namespace Aperture.Machine.Verification;

/// <summary>What kind of promise is not kept.</summary>
public enum DifferenceKind : byte
{
    /// <summary>A function is not there, or has another address.</summary>
    Function,

    /// <summary>A BAR's register says another address.</summary>
    BarAddress,

    /// <summary>A BAR that the guest enabled does not decode, or nothing answers where it decodes.</summary>
    BarDecode,

    /// <summary>A bridge's bus numbers or windows are others.</summary>
    Bridge,

    /// <summary>The ECAM window is elsewhere.</summary>
    Ecam,

    /// <summary>RAM is not where the plan put it.</summary>
    Ram,

    /// <summary>A memory slot is missing, or shows something that the map does not have there.</summary>
    Slot,

    /// <summary>Memory whose pages come at a touch shows something else than what was granted.</summary>
    Grant,

    /// <summary>The IOMMU does not map what it should, or maps what is gone.</summary>
    Iommu,
}

/// <summary>One promise that is not kept.</summary>
/// <param name="Kind">What kind.</param>
/// <param name="Subject">Whose: <c>gpu0 bar2</c>, <c>rp0 memory window</c>, <c>ram-low</c>.</param>
/// <param name="Promised">What was promised.</param>
/// <param name="Found">What there is.</param>
/// <param name="MovedBy">Who changed it, as a clause; null when nobody is known to have.</param>
public sealed record MapDifference(DifferenceKind Kind, string Subject, string Promised, string Found, string? MovedBy)
{
    /// <summary>The same for people, as one sentence.</summary>
    public string Sentence => $"{Subject}: promised {Promised}, found {Found}{(MovedBy is null ? "" : $" ({MovedBy})")}.";
}
