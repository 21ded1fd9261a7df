namespace Aperture.Placement.Request;

/// <summary>
/// What lies behind a bridge. Its windows follow from its content, its reserve and its pins: 4 KiB units of I/O, 1 MiB units of memory (PCI-to-PCI Bridge 1.2,
/// 3.2.5).
/// </summary>
/// <param name="Functions">The functions on the secondary bus, in any order; may be empty.</param>
public sealed record BridgeDemand(IReadOnlyList<FunctionDemand> Functions)
{
    /// <summary>The secondary bus number the user wants, or null for the next free one.</summary>
    public byte? SecondaryBus { get; init; }

    /// <summary>The subordinate bus number the user wants, or null for the highest one below.</summary>
    public byte? SubordinateBus { get; init; }

    /// <summary>The I/O window the user wants, exactly; null for one that fits the content.</summary>
    public AddressRange? IoWindow { get; init; }

    /// <summary>The memory window the user wants, exactly, below 4 GiB; null for one that fits the content.</summary>
    public AddressRange? MemoryWindow { get; init; }

    /// <summary>The prefetchable window the user wants, exactly, wholly below or wholly above 4 GiB; null for one that fits the content.</summary>
    public AddressRange? PrefetchableWindow { get; init; }

    /// <summary>Room kept for hotplug, or null for none.</summary>
    public HotplugReserve? Reserve { get; init; }
}
