
using Aperture.Board.Tests.Fakes;

namespace Aperture.Board.Tests;

/// <summary>Where RAM shows by the raw registers of the memory controller hub, address by address (Intel 3 Series datasheet, system address map).</summary>
internal static class RamOracle
{
    private const ulong FourGiB = 1UL << 32;

    /// <summary>The byte of DRAM at <paramref name="address"/>, or null where there is none.</summary>
    public static ulong? At(TestBoard board, ulong address)
    {
        ulong size = board.Ram.Block.Size;
        ulong lowEnd = LowEnd(board);
        if (address < FourGiB)
        {
            return address < lowEnd ? address : null;
        }

        uint remap = Word(board, 0x98);
        ulong first = (remap & 0x3FFUL) << 26;
        ulong last = ((remap >> 16 & 0x3FFUL) << 26) | 0x3FF_FFFF;
        ulong top = (ulong)(Word(board, 0xA0) >> 16) << 20;
        if (address >= top)
        {
            return null;
        }

        if (first >= FourGiB && address >= first && address <= last && lowEnd + (address - first) is var hidden && hidden < Math.Min(size, FourGiB))
        {
            return hidden;
        }

        return address < size ? address : null;
    }

    /// <summary>The end of low RAM: TOLUD, but never below 1 MiB nor above the I/O APIC.</summary>
    public static ulong LowEnd(TestBoard board)
    {
        ulong tolud = (ulong)(Word(board, 0xB0) & 0xFFF0) << 16;
        return Math.Min(Math.Min(board.Ram.Block.Size, FourGiB), Math.Min(Math.Max(tolud, 0x10_0000), 0xFEC0_0000));
    }

    /// <summary>True when RAM shows anywhere in <paramref name="range"/>; pieces begin and end at whole MiB or at the end of RAM.</summary>
    public static bool Touches(TestBoard board, AddressRange range)
    {
        ulong end = range.Last.Value;
        uint remap = Word(board, 0x98);
        ulong first = (remap & 0x3FFUL) << 26;
        ulong[] edges = [range.Start.Value, 0, FourGiB, first, first + Math.Min(board.Ram.Block.Size, FourGiB) - LowEnd(board),
            ((remap >> 16 & 0x3FFUL) + 1) << 26];
        return edges.Any(edge => edge >= range.Start.Value && edge <= end && At(board, edge) is not null);
    }

    private static uint Word(TestBoard board, int offset) => board.Function("mch").Config.Get(offset);
}
