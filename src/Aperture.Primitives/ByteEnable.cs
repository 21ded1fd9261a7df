using System.Globalization;

namespace Aperture;

/// <summary>Which bytes of an aligned 32-bit word an access touches (bit n = byte n), as PCI's C/BE# lines say it.</summary>
/// <param name="Mask">Bits 3:0, one per byte lane.</param>
public readonly record struct ByteEnable(byte Mask)
{
    /// <summary>
    /// The lanes of <paramref name="size"/> bytes (1, 2 or 4) at byte <paramref name="offset"/> of the word; lanes past the word are dropped.
    /// </summary>
    public static ByteEnable For(int offset, int size) => new((byte)(((1 << size) - 1) << (offset & 3) & 0xF));

    /// <summary>The 32-bit mask with 0xFF in every enabled byte.</summary>
    public uint BitMask
    {
        get
        {
            uint mask = 0;
            for (int lane = 0; lane < 4; lane++)
            {
                if ((Mask >> lane & 1) != 0)
                {
                    mask |= 0xFFu << (8 * lane);
                }
            }

            return mask;
        }
    }

    /// <summary>The four lanes, highest first, as a binary number.</summary>
    public override string ToString() => Convert.ToString(Mask & 0xF, 2).PadLeft(4, '0').ToString(CultureInfo.InvariantCulture);
}
