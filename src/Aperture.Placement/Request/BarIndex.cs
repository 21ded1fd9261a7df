using Aperture.Pci;

namespace Aperture.Placement.Request;

/// <summary>
/// How the BARs of a function are numbered here: 0 to 5, <see cref="BarKinds.RomIndex"/> for the ROM, then the six VF BARs of an SR-IOV capability.
/// </summary>
public static class BarIndex
{
    /// <summary>The index of VF BAR 0 (PCIe 5.0, 9.3.3.14); VF BAR n is this plus n.</summary>
    public const int Vf0 = BarKinds.Vf0;

    /// <summary>One past the highest index.</summary>
    public const int End = Vf0 + 6;

    private const string VfPrefix = "vf-bar";

    /// <summary>True for the BARs that an SR-IOV capability describes.</summary>
    public static bool IsVf(int index) => index is >= Vf0 and < End;

    /// <summary>How messages and options call it: <c>bar2</c>, <c>rom</c>, <c>vf-bar0</c>.</summary>
    public static string Name(int index) => BarKinds.BarName(index);

    /// <summary>Reads what <see cref="Name"/> writes; nothing else.</summary>
    public static bool TryParse(ReadOnlySpan<char> text, out int index)
    {
        index = BarKinds.RomIndex;
        if (text.SequenceEqual("rom"))
        {
            return true;
        }

        bool vf = text.StartsWith(VfPrefix, StringComparison.Ordinal);
        ReadOnlySpan<char> digit = vf ? text[VfPrefix.Length..] : text.StartsWith("bar", StringComparison.Ordinal) ? text[3..] : default;
        if (digit.Length != 1 || digit[0] is < '0' or > '5')
        {
            return false;
        }

        index = digit[0] - '0' + (vf ? Vf0 : 0);
        return true;
    }
}
