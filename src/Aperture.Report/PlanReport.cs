using System.Globalization;
using Aperture.Placement.Map;
using Aperture.Placement.Request;

namespace Aperture.Report;

/// <summary>What the renderers print: a solved request, and what is known about it beyond the map.</summary>
/// <param name="Request">What the solver was asked; its reserved ranges and address width are part of the picture.</param>
/// <param name="Map">Where everything goes.</param>
/// <param name="AddressBitsOrigin">Where the address width comes from, as it reads after "46 physical address bits, ": <c>as given</c>.</param>
public sealed record PlanReport(PlacementRequest Request, PlacementMap Map, string AddressBitsOrigin)
{
    /// <summary>Host addresses of BARs that stand for a host device's BARs. Empty when no pin has a host origin.</summary>
    public IReadOnlyList<BarOrigin> Origins { get; init; } = [];

    /// <summary>Sentences that belong to the map; one line each, after it.</summary>
    public IReadOnlyList<string> Notes { get; init; } = [];

    /// <summary>For each pair of passed devices and each BAR, whether the DMA of one reaches the other's. Empty with fewer than two.</summary>
    public IReadOnlyList<PeerRow> Peers { get; init; } = [];
}

/// <summary>The host address of the BAR that a guest's BAR stands for.</summary>
/// <param name="Function">The function's name in the map.</param>
/// <param name="Bar">As <see cref="BarIndex"/> numbers it.</param>
/// <param name="Address">Where the host has it.</param>
public sealed record BarOrigin(string Function, int Bar, HostPhysicalAddress Address);

/// <summary>Whether one passed device's DMA can reach a BAR of another.</summary>
/// <param name="From">Who sends: the function's name in the map.</param>
/// <param name="To">Whose BAR it is: the function's name in the map.</param>
/// <param name="Bar">As <see cref="BarIndex"/> numbers it.</param>
/// <param name="Range">Where the guest has it.</param>
/// <param name="Reaches">True when it can, false when it cannot; null when that is not told.</param>
/// <param name="Why">The reason.</param>
/// <param name="Path">The way on the host, as a sentence.</param>
public sealed record PeerRow(string From, string To, int Bar, AddressRange Range, bool? Reaches, string Why, string Path);

/// <summary>A physical address on the host, as its own BARs hold it.</summary>
/// <param name="Value">The address in bytes.</param>
public readonly record struct HostPhysicalAddress(ulong Value)
{
    /// <summary>The address as <c>0x</c> and lower-case hexadecimal.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"0x{Value:x}");
}
