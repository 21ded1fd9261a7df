using Aperture.Configuration;
using Aperture.Configuration.Kinds;
using Aperture.Host;
using Aperture.Host.Model;
using Aperture.Hypervisor;
using Aperture.Machine.Assigned;
using Aperture.Mirror;
using Aperture.Placement;
using Aperture.Placement.Map;
using Aperture.Placement.Request;

namespace Aperture.Machine.Topology;

/// <summary>A machine's PCI tree and where it goes, decided without a hypervisor and without opening a device but a mediated one.</summary>
/// <param name="Root">The functions on the root bus.</param>
/// <param name="Request">What the solver was asked.</param>
/// <param name="Result">The map, or the conflicts.</param>
public sealed record MachineTopology(IReadOnlyList<TopologyNode> Root, PlacementRequest Request, PlacementResult Result)
{
    /// <summary>The host whose devices are passed, or null when none is.</summary>
    public HostMachine? Host { get; init; }

    /// <summary>What a reader of the map must know besides.</summary>
    public IReadOnlyList<string> Notes { get; init; } = [];

    /// <summary>The devices of the host, in the order of the tree.</summary>
    public IReadOnlyList<AssignedPart> Assigned { get; } = [.. Walk(Root).Select(n => n.Assigned).OfType<AssignedPart>()];

    /// <summary>The topology of <paramref name="config"/> in what <paramref name="hypervisor"/> leaves free.</summary>
    /// <exception cref="ApertureException">The configuration contradicts itself, or the host lacks a device that it names.</exception>
    public static MachineTopology Of(MachineConfig config, HypervisorLimits hypervisor)
    {
        ArgumentNullException.ThrowIfNull(config);
        return Of(config, hypervisor, config.Assigns ? HostOf(config) : null);
    }

    /// <summary>As the other overload, with the host already read.</summary>
    /// <exception cref="ApertureException">As there.</exception>
    public static MachineTopology Of(MachineConfig config, HypervisorLimits hypervisor, HostMachine? host)
    {
        ArgumentNullException.ThrowIfNull(config);
        DebugExitPorts.Read(config);
        DebugConsolePorts.Read(config);
        PcTestDevicePorts.Read(config);
        IReadOnlyList<TopologyNode> own = TopologyBuilder.Build(config, host);
        PlacementRequest request = PlacementInput.For(config, own, hypervisor, host);
        return config.Mirror is null
            ? Solved(own, request, host)
            : Mirrored(config, own, request, host!);
    }

    private static IReadOnlyList<string> NotesOf(IReadOnlyList<TopologyNode> own, HostMachine? host) =>
        host is null
            ? [.. ServedNotes(own)]
            :
            [
                .. AssignmentNotes.For(host, [.. PartsOf(own).Select(part => part.Host).OfType<HostFunction>()]),
                .. ResizeNotes.For(host, PartsOf(own)), .. MediatedNotes(own), .. ServedNotes(own),
            ];

    private static IEnumerable<string> MediatedNotes(IReadOnlyList<TopologyNode> own) =>
        PartsOf(own).Where(part => part.Mediated is not null).Select(part =>
            $"{part.Name} is {(part.Name == part.HostName ? "" : $"{part.HostName}, ")}a mediated device without addresses on the host; it was opened to read "
                + "its BARs");

    private static IEnumerable<string> ServedNotes(IReadOnlyList<TopologyNode> own) =>
        PartsOf(own).Where(part => part.Served is not null).Select(part => $"{part.Name} is served at {part.HostName}, which was asked for its BARs");

    private static IEnumerable<AssignedPart> PartsOf(IReadOnlyList<TopologyNode> own) => Walk(own).Select(n => n.Assigned).OfType<AssignedPart>();

    /// <summary>The machine that <paramref name="config"/> takes devices from: a described one, or this one.</summary>
    /// <exception cref="ApertureException">Its description is missing or bad.</exception>
    public static HostMachine HostOf(MachineConfig config) => config.HostPath is { } path ? HostReader.Read(path) : HostReader.ReadLive();

    private static MachineTopology Solved(IReadOnlyList<TopologyNode> own, PlacementRequest request, HostMachine? host)
    {
        PlacementResult result = PlacementSolver.Solve(request);
        return new MachineTopology(own, request, result) { Host = host, Notes = [.. NotesOf(own, host), .. LeftOutBar.Sentences(result.Map?.LeftOut ?? [])] };
    }

    private static MachineTopology Mirrored(MachineConfig config, IReadOnlyList<TopologyNode> own, PlacementRequest request, HostMachine host)
    {
        MirrorPlan plan = HostMirror.Plan(host, MirrorSelection.Parse(config.Mirror!), request, MirrorUse.Assign);
        Dictionary<string, TopologyNode> nodes = own.ToDictionary(n => n.Name);
        AssignedResolver resolver = new(host, MediatedProbe.For(host, config.Vfio));
        foreach (AssignedPart part in PartsOf(own))
        {
            if (part.Host is not { } function || part.Spec is not VfioSpec spec)
            {
                continue;
            }

            resolver.Resolve(spec);
            if (plan.Bars.Any(bar => bar.Function == function.Address))
            {
                throw AssignedResolver.Twice(function.Address);
            }
        }

        MirroredNodes maker = new(host, nodes, plan.Functions, resolver);
        return new MachineTopology(maker.Make(plan.Request.HostBridges[0].Functions), plan.Request, plan.Result)
        {
            Host = host,
            Notes = [.. plan.Notes, .. ResizeNotes.For(host, PartsOf(own)), .. MediatedNotes(own),
                .. ServedNotes(own), .. LeftOutBar.Sentences(plan.Result.Map?.LeftOut ?? [])],
        };
    }

    private static IEnumerable<TopologyNode> Walk(IEnumerable<TopologyNode> nodes) => nodes.SelectMany(n => Walk(n.Children).Prepend(n));
}
