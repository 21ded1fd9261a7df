namespace Aperture.Pci;

/// <summary>A BAR that decodes.</summary>
/// <param name="Function">The function.</param>
/// <param name="Bar">The BAR; its kind says whether the range is memory or I/O.</param>
/// <param name="Range">The addresses it takes.</param>
public readonly record struct DecodedBar(PciFunction Function, Bar Bar, AddressRange Range);

/// <summary>What decodes where: immutable, computed whole from the registers, so that a swap of two BARs is one step.</summary>
public sealed class DecodeMap
{
    private readonly DecodedBar[] _memory;
    private readonly DecodedBar[] _io;
    private readonly RefusedBar[] _refused;

    internal DecodeMap(DecodedBar[] memory, DecodedBar[] io, RefusedBar[] refused)
    {
        _memory = memory;
        _io = io;
        _refused = refused;
    }

    /// <summary>Nothing decodes.</summary>
    public static DecodeMap Empty { get; } = new([], [], []);

    /// <summary>Memory BARs and ROMs that decode, by rising address; no two overlap.</summary>
    public IReadOnlyList<DecodedBar> Memory => _memory;

    /// <summary>I/O BARs that decode, by rising port; no two overlap.</summary>
    public IReadOnlyList<DecodedBar> Io => _io;

    /// <summary>Every BAR that does not decode, depth first through the hierarchy, then by index.</summary>
    public IReadOnlyList<RefusedBar> Refused => _refused;

    /// <summary>Where a BAR decodes, or null.</summary>
    public AddressRange? Find(Bar bar)
    {
        foreach (DecodedBar entry in bar.Kind == BarKind.Io ? _io : _memory)
        {
            if (entry.Bar == bar)
            {
                return entry.Range;
            }
        }

        return null;
    }

    internal ReadOnlySpan<DecodedBar> Entries(bool isIo) => isIo ? _io : _memory;
}
