using Aperture.Pci;
using Aperture.Placement.Map;
using Aperture.Placement.Request;

namespace Aperture.Emission;

/// <summary>What a function is to a monitor. The solver knows bridges only; which port a bridge is follows from what it hangs from.</summary>
internal enum FunctionRole
{
    /// <summary>The chipset's own function at a place where every Q35 board has one.</summary>
    Board,

    /// <summary>A bridge on the root bus.</summary>
    RootPort,

    /// <summary>A bridge right behind a root port or a switch's downstream port.</summary>
    SwitchUpstream,

    /// <summary>A bridge right behind a switch's upstream port.</summary>
    SwitchDownstream,

    /// <summary>Anything that is no bridge.</summary>
    Endpoint,
}

/// <summary>One function of the map with what all formats need to know of it.</summary>
/// <param name="Host">The host bridge above.</param>
/// <param name="HostIndex">That bridge's place in the map.</param>
/// <param name="Parent">The bridge right above, or null on the root bus.</param>
/// <param name="Function">The function.</param>
/// <param name="Role">What it is.</param>
/// <param name="Id">An identifier of its own, made from its name.</param>
internal sealed record PlannedFunction(
    HostBridgePlacement Host, int HostIndex, PlannedFunction? Parent, FunctionPlacement Function, FunctionRole Role, string Id)
{
    /// <summary>What lies right behind it.</summary>
    public required List<PlannedFunction> Children { get; init; }

    /// <summary>True when another function shares its device number on its bus.</summary>
    public bool SharesDevice { get; set; }

    /// <summary>Its address and the user's name for it: <c>01:00.0 gpu0</c>.</summary>
    public required string Title { get; init; }

    /// <summary>Its device and function numbers on its bus.</summary>
    public Bdf Address => Function.Address;

    /// <summary>What follows the title to say what it is.</summary>
    public string Kind => Role switch
    {
        FunctionRole.Board => "the board's own",
        FunctionRole.RootPort => "a root port",
        FunctionRole.SwitchUpstream => "a switch's upstream port",
        FunctionRole.SwitchDownstream => "a switch's downstream port",
        _ => Function.Bars.Count == 0 ? "a function without BARs" : string.Join(", ", Function.Bars.Select(Describe)),
    };

    /// <summary>A BAR with kind and size: <c>bar2 mem64p 64G</c>.</summary>
    public static string Describe(BarPlacement bar) => $"{BarIndex.Name(bar.Demand.Index)} {bar.Demand.Kind.Keyword()} {ByteSize.Format(bar.Size)}";
}
