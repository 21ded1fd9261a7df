namespace Aperture.Placement.Request;

/// <summary>What a function's SR-IOV capability asks for besides its VF BARs (PCIe 5.0, 9.3.3).</summary>
/// <param name="TotalVfs">The VFs that every VF BAR must have room for.</param>
public sealed record SriovDemand(ushort TotalVfs)
{
    /// <summary>First VF Offset: from this function's routing id to that of its first VF.</summary>
    public ushort FirstOffset { get; init; } = 1;

    /// <summary>VF Stride: from one VF's routing id to the next.</summary>
    public ushort Stride { get; init; } = 1;

    /// <summary>How many bus numbers after the function's own its VFs reach into, when the function is <paramref name="deviceFunction"/> of its bus.</summary>
    public int ExtraBuses(byte deviceFunction) =>
        TotalVfs == 0 ? 0 : (int)Math.Min((deviceFunction + FirstOffset + (TotalVfs - 1L) * Stride) >> 8, 0x1_0000);
}
