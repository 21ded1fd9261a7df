using System.Globalization;
using Aperture.Placement;

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
}

/// <summary>The host address of the BAR that a guest's BAR stands for.</summary>
/// <param name="Function">The function's name in the map.</param>
/// <param name="Bar">As <see cref="BarIndex"/> numbers it.</param>
/// <param name="Address">Where the host has it.</param>
public sealed record BarOrigin(string Function, int Bar, HostPhysicalAddress Address);

/// <summary>A physical address on the host, as its own BARs hold it.</summary>
/// <param name="Value">The address in bytes.</param>
public readonly record struct HostPhysicalAddress(ulong Value)
{
    /// <summary>The address as <c>0x</c> and lower-case hexadecimal.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"0x{Value:x}");
}
