namespace Aperture.Placement.Search;

/// <summary>
/// A rigid body: <see cref="Size"/> bytes that may start wherever the address is <see cref="Phase"/> modulo <see cref="Alignment"/>.
/// A BAR is one with phase 0. A bridge window is one whose parts keep their places inside it; the phase lets a window start
/// below its most aligned part, so that small parts fill what would otherwise be a gap.
/// </summary>
internal sealed record Shape(ulong Size, ulong Alignment, ulong Phase, Part[] Parts)
{
    public ulong StartAtOrAbove(ulong address) => address <= Phase ? Phase : Align.Up(address - Phase, Alignment) + Phase;

    public bool TryStartAtOrBelow(ulong address, out ulong start)
    {
        start = address < Phase ? 0 : Align.Down(address - Phase, Alignment) + Phase;
        return address >= Phase;
    }
}

/// <summary>A block at a place: absolute where it was packed, relative to the window's start inside a <see cref="Shape"/>.</summary>
internal readonly record struct Part(Block Block, Shape Shape, ulong Start)
{
    public Extent Extent => Extent.Sized(Start, Shape.Size);
}
