using Aperture.Configuration;
using Aperture.Host;
using Aperture.Host.Model;
using Aperture.Machine;
using Aperture.Machine.Assigned;
using Aperture.Machine.Boot;
using Aperture.Machine.Topology;
using Aperture.Mirror;
using Aperture.Placement.Map;
using Aperture.Placement.Platforms;
using Aperture.Placement.Request;
using Aperture.Report;

namespace Aperture.Cli.Verbs;

/// <summary>What <c>plan</c> prints: the request, the solver's answer and where the address width comes from.</summary>
/// <param name="Request">What the solver was asked.</param>
/// <param name="Result">The map or the conflicts.</param>
/// <param name="AddressBitsOrigin">As it reads after "46 physical address bits, ".</param>
internal sealed record PlanInput(PlacementRequest Request, PlacementResult Result, string AddressBitsOrigin)
{
    /// <summary>Host addresses of mirrored BARs.</summary>
    public IReadOnlyList<BarOrigin> Origins { get; init; } = [];

    /// <summary>The host's function behind each mirrored or passed one, by the guest's name for it; a mediated device has none.</summary>
    public IReadOnlyDictionary<string, string> HostAddresses { get; init; } = new Dictionary<string, string>();

    /// <summary>What a reader must know beyond the map.</summary>
    public IReadOnlyList<string> Notes { get; init; } = [];

    /// <summary>Which passed device reaches which BAR of another.</summary>
    public IReadOnlyList<PeerRow> Peers { get; init; } = [];

    /// <summary>
    /// The map that <c>run</c> would make, there when another machine is described; with all of a machine the map that it has, and also where <c>run</c> would
    /// refuse the functions named of another machine: then both are said.
    /// </summary>
    /// <param name="config">The guest.</param>
    /// <param name="known">The host that <paramref name="config"/> names, where it was read already.</param>
    /// <exception cref="ApertureException">The host's description is bad, or lacks a named function.</exception>
    public static PlanInput Of(MachineConfig config, HostMachine? known = null) => config switch
    {
        { Mirror: "all" } => OfMirror(config, known),
        { Mirror: not null, HostPath: not null } => OfMirrorThere(config, known),
        _ => OfRun(config, known),
    };

    // Named functions of a machine that is described.
    private static PlanInput OfMirrorThere(MachineConfig config, HostMachine? known)
    {
        PlanInput? run = null;
        string reason;
        try
        {
            run = OfRun(config, known);
            if (run.Result.Map is not null)
            {
                return run;
            }

            reason = string.Join("; ", run.Result.Conflicts.Select(conflict => conflict.Sentence));
        }
        catch (ApertureException refused)
        {
            reason = refused.Message;
        }

        PlanInput own = OfMirror(config, known);
        string note = $"aperture run --mirror {config.Mirror} would be refused on that machine: {reason.TrimEnd('.')}; this is how the functions stand there";
        return own.Result.Map is not null ? own with { Notes = [note, .. own.Notes] } : run ?? own;
    }

    private static PlanInput OfRun(MachineConfig config, HostMachine? known)
    {
        HostMachine? host = config.Assigns || config.HostPath is not null ? known ?? MachineTopology.HostOf(config) : null;
        HostAddressBits bits = host is null || (config.Mirror is null && config.HostPath is null)
            ? AddressBits(config)
            : MirrorBits(config, host, NeededBits(config, host));
        MachineTopology topology = MachineTopology.Of(config, Hypervisors.LimitsOf(config, bits.Bits), host);
        return new PlanInput(topology.Request, topology.Result, bits.Origin)
        {
            Origins = [.. topology.Assigned.SelectMany(OriginsOf)],
            HostAddresses = topology.Assigned.Where(part => part.Host is not null)
                .ToDictionary(part => part.Name, part => part.Host!.Address.ToString()),
            Notes = topology.Notes,
            Peers = PeersOf(topology),
        };
    }

    private static IEnumerable<BarOrigin> OriginsOf(AssignedPart part) =>
        from bar in part.Bars
        let address = part.HostAddressOf(bar.Index)
        where address is not null
        select new BarOrigin(part.Name, bar.Index, new HostPhysicalAddress(address.Value.Value));

    private static List<PeerRow> PeersOf(MachineTopology topology)
    {
        if (topology.Result.Map is not { } map || topology.Host is not { } host)
        {
            return [];
        }

        List<PeerDevice> devices =
            [.. topology.Assigned.Where(part => part.Host is not null).Select(
                part => new PeerDevice(part.Name, part.Host!, map.TryGetFunction(part.Name, out FunctionPlacement? place) ? place.Bars : []))];
        int? bits = host.Origin.Kind == HostOriginKind.LiveSysfs ? IommuWidth.Read() : null;
        return [.. PeerForecast.All(host, devices, bits).Select(f => new PeerRow(f.From.Name, f.To.Name, f.Bar, f.Range, f.Reaches, f.Why, f.Distance.Text))];
    }

    // The map with the host's own topology in it.
    private static PlanInput OfMirror(MachineConfig config, HostMachine? known)
    {
        MirrorSelection selection = MirrorSelection.Parse(config.Mirror!);
        HostMachine host = known ?? (config.HostPath is { } path ? HostReader.Read(path) : HostReader.ReadLive());
        PlacementRequest own = PlacementInput.For(config, TopologyBuilder.Build(config, host), Hypervisors.LimitsOf(config, PlatformLimits.MaxAddressBits));
        HostAddressBits bits = MirrorBits(config, host, HostMirror.AddressBits(host, own));
        own = own with { Platform = own.Platform with { PhysicalAddressBits = bits.Bits } };
        MirrorPlan plan = HostMirror.Plan(host, selection, own);
        return new PlanInput(plan.Request, plan.Result, bits.Origin)
        {
            Origins = [.. plan.Bars.Select(bar => new BarOrigin(bar.Function.ToString(), bar.Index, new HostPhysicalAddress(bar.Address.Value)))],
            HostAddresses = plan.Bars.Select(bar => bar.Function.ToString()).Distinct().ToDictionary(name => name),
            Notes = [.. plan.Notes, .. LeftOutBar.Sentences(plan.Result.Map?.LeftOut ?? [])],
        };
    }

    private static HostAddressBits MirrorBits(MachineConfig config, HostMachine host, int needed)
    {
        if (config.PhysicalAddressBits is not null)
        {
            return AddressBits(config);
        }

        if (config.HostPath is not null)
        {
            return new HostAddressBits(needed, $"what the addresses of {host.Origin.Name} need");
        }

        HostAddressBits here = config.Board == BoardKind.Virt ? HostAddressBits.Arm : HostAddressBits.Read();
        return here.Bits >= needed ? here : new HostAddressBits(needed, "what this host's own addresses need");
    }

    // Another machine's devices are planned for that machine, whose own width no description tells: not for the one that plans.
    private static int NeededBits(MachineConfig config, HostMachine host) =>
        HostMirror.AddressBits(
            host, PlacementInput.For(config, TopologyBuilder.Build(config, host), Hypervisors.LimitsOf(config, PlatformLimits.MaxAddressBits), host));

    private static HostAddressBits AddressBits(MachineConfig config)
    {
        if (config.Board == BoardKind.Virt)
        {
            return config.PhysicalAddressBits is { } asked ? new HostAddressBits(asked, "as given") : HostAddressBits.Arm;
        }

        HostAddressBits host = HostAddressBits.Read();
        return config.PhysicalAddressBits switch
        {
            null when FirmwareAddressBits.Most(config, host.Bits) is { } fewer => new HostAddressBits(
                fewer, $"as few as hold everything, because {config.Firmware} maps all of them in small pages; this host has {host.Bits}"),
            null => host,
            { } given when given > host.Bits && config.HostPath is null =>
                new HostAddressBits(given, $"as given; this host has {host.Bits}, and a guest run here gets no more"),
            { } given => new HostAddressBits(given, "as given"),
        };
    }
}
