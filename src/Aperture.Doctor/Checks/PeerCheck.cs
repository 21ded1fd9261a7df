using System.Collections.Immutable;
using Aperture.Host.Analysis;
using Aperture.Host.Model;
using Aperture.Pci.Capabilities;

namespace Aperture.Doctor.Checks;

/// <summary>Which way requests between the devices go, and what decides on it (PCI Express 5.0, section 6.12).</summary>
internal static class PeerCheck
{
    private const string Name = "peers";

    internal static IEnumerable<Verdict> Look(Examination examination)
    {
        foreach (Goals goal in GoalWords.Each(examination.Goals & (Goals.P2p | Goals.GpuDirect)))
        {
            List<(HostFunction From, HostFunction To)> pairs = [.. Pairs(examination, goal)];
            if (pairs.Count == 0)
            {
                yield return NoPair(examination, goal);
            }

            foreach (IGrouping<PeerWay, PeerPair> way in pairs.Select(pair => PeerPair.Of(examination, pair.From, pair.To)).GroupBy(static pair => pair.Way))
            {
                yield return PeerVerdicts.Of(examination, way.Key, [.. way]) with { Goals = goal };
            }
        }
    }

    private static IEnumerable<(HostFunction From, HostFunction To)> Pairs(Examination examination, Goals goal)
    {
        ImmutableArray<HostFunction> devices = examination.Devices;
        for (int i = 0; i < devices.Length; i++)
        {
            for (int j = i + 1; j < devices.Length; j++)
            {
                bool direct = DeviceClasses.IsAccelerator(devices[i]) != DeviceClasses.IsAccelerator(devices[j]);
                if (goal == Goals.P2p || direct)
                {
                    yield return (devices[i], devices[j]);
                }
            }
        }
    }

    private static Verdict NoPair(Examination examination, Goals goal) => new(VerdictKind.Cannot, Name, Examination.Addresses(examination.Devices),
        goal == Goals.P2p ? "There is no pair of devices that could reach each other." : "There is no GPU or accelerator with a network controller or "
            + "drive beside it.",
        $"looked at {Examination.Names(examination.Devices)}")
    {
        Goals = goal,
        Changes = ["name both: aperture doctor DEVICE DEVICE --for " + GoalWords.Of(goal)],
    };
}

/// <summary>The way of a pair: pairs of one way have one verdict.</summary>
/// <param name="Kind">The distance.</param>
/// <param name="Routing">What happens to requests.</param>
/// <param name="Common">The bridge that both are below; null where there is none.</param>
/// <param name="Left">The host bridge above the first.</param>
/// <param name="Right">The host bridge above the second.</param>
internal readonly record struct PeerWay(P2pDistanceKind Kind, P2pRouting Routing, PciAddress? Common, (uint, byte)? Left, (uint, byte)? Right);

/// <summary>Two devices and what is between them.</summary>
/// <param name="From">The first.</param>
/// <param name="To">The second.</param>
/// <param name="Distance">How far apart they are.</param>
/// <param name="Way">Their way.</param>
internal sealed record PeerPair(HostFunction From, HostFunction To, P2pDistance Distance, PeerWay Way)
{
    internal static PeerPair Of(Examination examination, HostFunction from, HostFunction to)
    {
        P2pDistance distance = HostTopology.Distance(examination.Host, from.Address, to.Address);
        ImmutableArray<HostFunction> below = examination.Above(to);
        HostFunction? common = examination.Above(from).FirstOrDefault(bridge => below.Any(other => other.Address == bridge.Address));
        return new PeerPair(from, to, distance, new PeerWay(distance.Kind, distance.Routing, common?.Address, Root(examination, from), Root(examination,
            to)));
    }

    private static (uint, byte)? Root(Examination examination, HostFunction function) =>
        HostTopology.HostBridgeOf(examination.Host, function) is { } bridge ? (bridge.Domain, bridge.RootBus) : null;

    /// <summary>True when translated requests (ATS) pass the redirection of every port on the way.</summary>
    internal bool PassesTranslated => From.Ats is { Enabled: true } && To.Ats is { Enabled: true }
        && Distance.DecidingPorts.All(static port => port.Acs is { } acs && (acs.Enabled & AcsControls.DirectTranslated) != 0);
}
