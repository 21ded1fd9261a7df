using Aperture.Board.Pc;
using Aperture.Board.Virt;

namespace Aperture.Board;

/// <summary>What is known of every board before one is made.</summary>
public static class Boards
{
    /// <summary>The functions that a <paramref name="board"/> has by itself, by rising place.</summary>
    public static IReadOnlyList<ChipsetPlace> Places(BoardKind board) => board == BoardKind.Virt ? VirtChipset.Places : Chipsets.Places(board);

    /// <summary>It has PCI Express, with ECAM and ports.</summary>
    public static bool IsExpress(BoardKind board) => board != BoardKind.I440Fx;
}
