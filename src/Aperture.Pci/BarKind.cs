namespace Aperture.Pci;

/// <summary>The kinds of base address register (PCI Local Bus 3.0, section 6.2.5.1) and the expansion ROM's (6.2.5.2).</summary>
public enum BarKind : byte
{
    /// <summary>I/O ports.</summary>
    Io,

    /// <summary>32-bit memory, not prefetchable.</summary>
    Memory32,

    /// <summary>32-bit memory, prefetchable.</summary>
    Memory32Prefetchable,

    /// <summary>64-bit memory, not prefetchable; takes two registers.</summary>
    Memory64,

    /// <summary>64-bit memory, prefetchable; takes two registers.</summary>
    Memory64Prefetchable,

    /// <summary>Expansion ROM: 32-bit memory with an enable bit of its own.</summary>
    Rom,
}

/// <summary>What follows from a BAR's kind.</summary>
public static class BarKinds
{
    /// <summary>The index that stands for the expansion ROM where BARs are numbered 0 to 5.</summary>
    public const int RomIndex = 6;

    /// <summary>The index that stands for VF BAR 0 of an SR-IOV capability (PCI Express 5.0, section 9.3.3.14); VF BAR n is this plus n.</summary>
    public const int Vf0 = 7;

    /// <summary>True for everything but I/O.</summary>
    public static bool IsMemory(this BarKind kind) => kind != BarKind.Io;

    /// <summary>True when the BAR takes two registers and may lie above 4 GiB.</summary>
    public static bool Is64Bit(this BarKind kind) => kind is BarKind.Memory64 or BarKind.Memory64Prefetchable;

    /// <summary>True when the BAR is marked prefetchable and so may use a bridge's prefetchable window.</summary>
    public static bool IsPrefetchable(this BarKind kind) => kind is BarKind.Memory32Prefetchable or BarKind.Memory64Prefetchable;

    /// <summary>The word users write for the kind: <c>io</c>, <c>mem32</c>, <c>mem32p</c>, <c>mem64</c>, <c>mem64p</c>, <c>rom</c>.</summary>
    public static string Keyword(this BarKind kind) => kind switch
    {
        BarKind.Io => "io",
        BarKind.Memory32 => "mem32",
        BarKind.Memory32Prefetchable => "mem32p",
        BarKind.Memory64 => "mem64",
        BarKind.Memory64Prefetchable => "mem64p",
        _ => "rom",
    };

    /// <summary>Reads a kind as users write it; <c>rom</c> is not one of them, since the ROM is an option of its own.</summary>
    public static bool TryParse(ReadOnlySpan<char> text, out BarKind kind)
    {
        for (kind = BarKind.Io; kind < BarKind.Rom; kind++)
        {
            if (text.SequenceEqual(kind.Keyword()))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>How a BAR is called in messages and options: <c>bar2</c>, <c>rom</c>, <c>vf-bar0</c>.</summary>
    public static string BarName(int index) => index == RomIndex ? "rom" : index >= Vf0 ? $"vf-bar{index - Vf0}" : $"bar{index}";
}
