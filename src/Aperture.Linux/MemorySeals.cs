namespace Aperture.Linux;

/// <summary>What a memory file no longer allows (fcntl(2), F_ADD_SEALS; linux/fcntl.h).</summary>
[Flags]
public enum MemorySeals
{
    /// <summary>Everything is allowed.</summary>
    None = 0,

    /// <summary>No further seals.</summary>
    Seal = 0x1,

    /// <summary>The file cannot get shorter: no mapping of it can fault past its end.</summary>
    Shrink = 0x2,

    /// <summary>The file cannot get longer.</summary>
    Grow = 0x4,
}
