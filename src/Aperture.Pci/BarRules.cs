using System.Numerics;

namespace Aperture.Pci;

/// <summary>What sizes and indices a BAR may have (PCI Local Bus 3.0, sections 6.2.5.1 and 6.2.5.2).</summary>
public static class BarRules
{
    /// <summary>The smallest size of a kind in bytes.</summary>
    public static ulong SmallestSize(BarKind kind) => kind switch
    {
        BarKind.Io => 4,
        BarKind.Rom => 2048,
        _ => 16,
    };

    /// <summary>The largest size of a kind in bytes; bit 63 of an address is never decoded.</summary>
    public static ulong LargestSize(BarKind kind) => kind switch
    {
        BarKind.Io => 1UL << 15,
        BarKind.Rom => 16UL << 20,
        _ => kind.Is64Bit() ? 1UL << 62 : 1UL << 31,
    };

    /// <summary>Refuses a BAR that no function could have.</summary>
    /// <exception cref="ApertureException">The index is out of range or the size does not suit the kind.</exception>
    internal static void Check(string function, int index, BarKind kind, ulong size, int registers)
    {
        bool isRom = index == BarKinds.RomIndex;
        int last = registers - (kind.Is64Bit() ? 2 : 1);
        if (isRom != (kind == BarKind.Rom) || (!isRom && (index < 0 || index > last)))
        {
            throw new ApertureException($"{function} cannot have a {kind.Keyword()} BAR with index {index}: use 0 to {last}");
        }

        ulong smallest = SmallestSize(kind);
        ulong largest = LargestSize(kind);
        if (!BitOperations.IsPow2(size) || size < smallest || size > largest)
        {
            throw new ApertureException(
                $"{BarKinds.BarName(index)} of {function} cannot be 0x{size:x} bytes: a {kind.Keyword()} BAR is a power of two from "
                    + $"{ByteSize.Format(smallest)} to {ByteSize.Format(largest)}");
        }
    }
}
