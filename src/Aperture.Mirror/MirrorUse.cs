namespace Aperture.Mirror;

/// <summary>What a mirrored host is for.</summary>
public enum MirrorUse : byte
{
    /// <summary>To look at: the host's own host bridges, buses and BARs, those of bridges and VFs included.</summary>
    Describe,

    /// <summary>
    /// To run: the chosen functions become devices of a guest, which has one root bus. The host's root ports stand on that, whichever root bus they have on
    /// the host; windows and BARs stay at the host's addresses, bus numbers where possible.
    /// </summary>
    Assign,
}
