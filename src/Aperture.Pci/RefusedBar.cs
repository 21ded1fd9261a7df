
namespace Aperture.Pci;

/// <summary>Why a BAR does not decode.</summary>
public enum DecodeRefusal : byte
{
    /// <summary>The function's command bit for the space is off.</summary>
    NotEnabled,

    /// <summary>The ROM's own enable bit is off.</summary>
    RomDisabled,

    /// <summary>The function is not in D0.</summary>
    PowerState,

    /// <summary>The address is 0: unassigned.</summary>
    AddressZero,

    /// <summary>The range wraps, or has bit 63 set.</summary>
    Wraps,

    /// <summary>A bridge above does not forward it: <see cref="RefusedBar.Obstacle"/> names the bridge.</summary>
    NotForwarded,

    /// <summary>It is not inside the host bridge's windows.</summary>
    OutsideHostWindows,

    /// <summary>It touches a range that wins over BARs: <see cref="RefusedBar.Obstacle"/> names it.</summary>
    Reserved,

    /// <summary>It overlaps a BAR that decodes: <see cref="RefusedBar.Other"/>.</summary>
    Conflict,
}

/// <summary>A BAR that does not decode, and why.</summary>
/// <param name="Function">The function.</param>
/// <param name="Bar">The BAR.</param>
/// <param name="Range">Where it would be; null when that is no range.</param>
/// <param name="Reason">The first reason that holds, in the order of the enumeration.</param>
/// <param name="Other">The BAR in the way of a <see cref="DecodeRefusal.Conflict"/>.</param>
/// <param name="Obstacle">The name of the bridge, or of the reserved range, in the way.</param>
public readonly record struct RefusedBar(
    PciFunction Function, Bar Bar, AddressRange? Range, DecodeRefusal Reason, DecodedBar? Other = null, string? Obstacle = null);
