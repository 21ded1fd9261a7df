using Aperture.Host;
using Aperture.Machine.Configuration;
using Aperture.Machine.Topology;
using Aperture.Mirror;
using Aperture.Placement;
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

    /// <summary>The host's function behind each mirrored one, by the guest's name for it: the mirror names functions by their host addresses.</summary>
    public IReadOnlyDictionary<string, string> HostAddresses => Origins.Select(o => o.Function).Distinct().ToDictionary(name => name);

    /// <summary>What a reader must know beyond the map.</summary>
    public IReadOnlyList<string> Notes { get; init; } = [];

    /// <summary>The map that <c>run</c> would make.</summary>
    public static PlanInput Of(MachineConfig config)
    {
        HostAddressBits bits = AddressBits(config);
        PlacementRequest request = MachinePlan.Request(config, bits.Bits);
        return new PlanInput(request, PlacementSolver.Solve(request), bits.Origin);
    }

    /// <summary>The map with the host's own topology in it.</summary>
    /// <exception cref="ApertureException">The host's description is bad, or lacks a named function.</exception>
    public static PlanInput OfMirror(MachineConfig config)
    {
        MirrorSelection selection = MirrorSelection.Parse(config.Mirror!);
        HostMachine host = config.HostPath is { } path ? HostReader.Read(path) : HostReader.ReadLive();
        HostAddressBits bits = MirrorBits(config, host);
        MirrorPlan plan = HostMirror.Plan(host, selection, MachinePlan.Request(config, bits.Bits));
        return new PlanInput(plan.Request, plan.Result, bits.Origin)
        {
            Origins = [.. plan.Bars.Select(bar => new BarOrigin(bar.Function.ToString(), bar.Index, new HostPhysicalAddress(bar.Address.Value)))],
            Notes = plan.Notes,
        };
    }

    private static HostAddressBits MirrorBits(MachineConfig config, HostMachine host)
    {
        if (config.PhysicalAddressBits is not null)
        {
            return AddressBits(config);
        }

        int needed = HostMirror.AddressBits(host, config.MemorySize);
        if (config.HostPath is not null)
        {
            return new HostAddressBits(needed, $"what the addresses of {host.Origin.Name} need");
        }

        HostAddressBits here = HostAddressBits.Read();
        return here.Bits >= needed ? here : new HostAddressBits(needed, "what this host's own addresses need");
    }

    private static HostAddressBits AddressBits(MachineConfig config)
    {
        HostAddressBits host = HostAddressBits.Read();
        return config.PhysicalAddressBits switch
        {
            null => host,
            { } given when given > host.Bits && config.HostPath is null => new HostAddressBits(given, $"as given; this host has {host.Bits}, and a guest run here gets no more"),
            { } given => new HostAddressBits(given, "as given"),
        };
    }
}
