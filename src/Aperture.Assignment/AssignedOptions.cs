namespace Aperture.Assignment;

/// <summary>Where the expansion ROM that the guest sees comes from.</summary>
public enum RomSource : byte
{
    /// <summary>Read from the device, once.</summary>
    Device,

    /// <summary>There is none.</summary>
    Off,

    /// <summary>The bytes in <see cref="AssignedOptions.RomImage"/>.</summary>
    Image,
}

/// <summary>How an assigned function is shown to the guest.</summary>
/// <param name="Name">The user's id of the device.</param>
public sealed record AssignedOptions(string Name)
{
    /// <summary>Where the expansion ROM comes from.</summary>
    public RomSource Rom { get; init; }

    /// <summary>The ROM with <see cref="RomSource.Image"/>: 1 byte to 16 MiB; the BAR has the next power of two.</summary>
    public ReadOnlyMemory<byte> RomImage { get; init; }

    /// <summary>
    /// GPUDirect clique of an NVIDIA display function, 0 to 15: the driver does peer-to-peer DMA between functions of one clique. Null for none.
    /// </summary>
    public byte? GpuDirectClique { get; init; }

    /// <summary>Ids of standard capabilities to hide besides those that are always hidden.</summary>
    public IReadOnlyList<byte> HiddenCapabilities { get; init; } = [];

    /// <summary>Ids of extended capabilities to hide besides those that are always hidden.</summary>
    public IReadOnlyList<ushort> HiddenExtendedCapabilities { get; init; } = [];

    /// <summary>No BAR is mapped; every access is trapped. Slow; shows each access in the counters.</summary>
    public bool TrapAll { get; init; }

    /// <summary>
    /// Corrects the places where the device shows the host's BAR addresses in registers of its own. Not needed, and an exit for each access, when
    /// all BARs are pinned to the host's addresses.
    /// </summary>
    public bool CorrectMirrors { get; init; } = true;
}
