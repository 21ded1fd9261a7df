using System.Collections.Immutable;
using Aperture.Host.Analysis;
using Aperture.Pci.Capabilities;

namespace Aperture.Doctor.Checks;

/// <summary>Says what a way between devices means, and what changes it.</summary>
internal static class PeerVerdicts
{
    private const string Name = "peers";
    private const int MostPorts = 4;

    internal static Verdict Of(Examination examination, PeerWay way, ImmutableArray<PeerPair> pairs)
    {
        ImmutableArray<PciAddress> devices = Examination.Addresses(pairs.SelectMany(static pair => new[] { pair.From, pair.To }));
        Verdict verdict = way.Kind switch
        {
            P2pDistanceKind.SameRootComplex or P2pDistanceKind.AcrossHostBridges => AboveBridges(examination, way, pairs),
            P2pDistanceKind.Unknown => new Verdict(VerdictKind.Unknown, Name, devices, "How these are connected is not known.",
                Ports(pairs))
            { Decides = true },
            _ => Below(examination, way, pairs, devices),
        };
        return verdict with { Functions = devices };
    }

    private static Verdict Below(Examination examination, PeerWay way, ImmutableArray<PeerPair> pairs, ImmutableArray<PciAddress> devices)
    {
        string where = Where(way);
        string which = $"{Count(pairs)} {where} ({Examination.Names(devices)})";
        string mirror = examination.IsLive
            ? $"aperture run --mirror {string.Join(',', devices)} ..."
            : $"aperture plan --host {examination.Host.Origin.Name} --mirror {string.Join(',', devices)}; on that machine: aperture run --mirror ...";
        return way.Routing switch
        {
            P2pRouting.Direct => new Verdict(VerdictKind.Good, Name, devices,
                $"{which}: requests go straight, past the IOMMU. In a guest that works for devices that have their BARs at the host's addresses (which QEMU "
                    + "cannot be told), all in one guest.",
                Ports(pairs))
            {
                Changes = [mirror, .. Redirected(pairs)],
            },
            P2pRouting.Redirected => new Verdict(VerdictKind.Should, Name, devices,
                $"{which}: access control sends requests up to the root port and its IOMMU and down again. It works in a guest at any address, at the "
                    + $"speed of the switch's uplink, which all of them share{Translated(pairs)}.",
                Ports(pairs))
            {
                Changes = Straight(pairs),
            },
            _ => new Verdict(VerdictKind.Unknown, Name, devices,
                $"{which}: whether requests go straight or by the root port and its IOMMU is not known. With the BARs at the host's addresses both work "
                    + "in a guest; the second shares the uplink and is slower.",
                Ports(pairs))
            {
                Changes =
                [
                    $"as root: for p in {string.Join(' ', UnknownPorts(pairs))}; do lspci -vvv -s $p | grep ACSCtl; done   (ReqRedir- is straight)", mirror,
                ],
            },
        };
    }

    private static string Translated(ImmutableArray<PeerPair> pairs) =>
        pairs.All(static pair => pair.PassesTranslated) ? "; translated requests (ATS) go straight" : "";

    // To have requests go by the IOMMU, for a monitor that cannot place BARs.
    private static IEnumerable<string> Redirected(ImmutableArray<PeerPair> pairs)
    {
        List<PciAddress> ports =
            [.. DecidingPorts(pairs).Where(static port => port.Acs is { } acs
                && (acs.Offered & AcsControls.RequestRedirect) != 0).Select(static port => port.Port)];
        if (ports.Count != 0)
        {
            yield return "or, slower and with any monitor, have the IOMMU translate them: "
                + $"pci=config_acs=xxx11xx@{string.Join(";xxx11xx@", ports)} on the kernel's command line (Linux 6.11 or later)";
        }
    }

    // To have requests go straight, for a guest that gets all of the devices.
    private static ImmutableArray<string> Straight(ImmutableArray<PeerPair> pairs)
    {
        List<PciAddress> ports = [.. DecidingPorts(pairs).Where(static port => port.Redirects).Select(static port => port.Port)];
        return
        [
            $"only if one guest gets all of them: add pci=disable_acs_redir={string.Join(';', ports)} to the kernel's command line; they then share an "
                + "IOMMU group",
            $"until the next start, to measure it: for p in {string.Join(' ', ports)}; do setpci -s $p ECAP_ACS+6.w=0:c; done",
        ];
    }

    private static Verdict AboveBridges(Examination examination, PeerWay way, ImmutableArray<PeerPair> pairs)
    {
        bool oneBridge = way.Kind == P2pDistanceKind.SameRootComplex;
        string where = oneBridge
            ? $"below different root ports of host bridge {Bridge(way.Left)}"
            : $"below host bridges {Bridge(way.Left)} and {Bridge(way.Right)}";
        string which = $"{Count(pairs)} {where}";
        string sockets = Sockets(pairs, out bool far);
        string? carried = RootComplexes.Carry(examination.Host, pairs[0].From, pairs[0].To, oneBridge);
        return carried is not null
            ? new Verdict(far ? VerdictKind.Should : VerdictKind.Note, Name, [],
                $"{which}: requests go through the root complex{sockets} which is known to carry them; expect less than below one "
                    + $"switch{(far ? ", and far less for reads" : "")}.",
                carried)
            {
                Changes = far ? ["give a guest devices of one NUMA node, or have the two exchange data by host memory"] : [],
            }
            : new Verdict(VerdictKind.Unknown, Name, [],
                $"{which}: whether the root complex carries requests between them{sockets} is up to the platform, and this one is in no list of those "
                    + "that do.",
                $"{Ports(pairs)}; {Roots(examination, pairs[0])}: not in the kernel's table of root complexes that carry peer-to-peer requests")
            {
                Decides = true,
                Changes = ["measure it on the host, with the devices' own test (p2pBandwidthLatencyTest, rocm-bandwidth-test, ib_write_bw), or put them "
                    + "below one switch"],
            };
    }

    private static string Roots(Examination examination, PeerPair pair) => string.Join(" and ", new[] { pair.From, pair.To }
        .Select(function => examination.Above(function) is { IsEmpty: false } above ? above[^1] : function).DistinctBy(static top => top.Address)
        .Select(static top => $"{top.Address} ({top.Identity.Vendor:x4}:{top.Identity.Device:x4})"));

    private static string Sockets(ImmutableArray<PeerPair> pairs, out bool far)
    {
        List<int?> nodes = [.. pairs.SelectMany(static pair => new[] { pair.From.NumaNode, pair.To.NumaNode }).Distinct()];
        far = nodes.Count > 1 && !nodes.Contains(null);
        return nodes is [{ } one] ? $" of one processor (NUMA node {one})"
            : far ? $", between NUMA nodes {string.Join(" and ", nodes.Order())} (two processors, unless the firmware divides one)," : "";
    }

    private static string Bridge((uint Domain, byte Bus)? bridge) => bridge is { } known ? $"{known.Domain:x4}:{known.Bus:x2}" : "unknown";

    private static string Where(PeerWay way) => way.Kind switch
    {
        P2pDistanceKind.SameDevice => "of one device",
        P2pDistanceKind.SameBus => "on one bus",
        P2pDistanceKind.SameSwitch => $"below the switch at {way.Common}",
        _ => $"below {way.Common}",
    };

    private static string Count(ImmutableArray<PeerPair> pairs) => pairs.Length == 1 ? "One pair" : $"{pairs.Length} pairs";

    private static List<P2pPort> DecidingPorts(ImmutableArray<PeerPair> pairs) =>
        [.. pairs.SelectMany(static pair => pair.Distance.DecidingPorts).DistinctBy(static port => port.Port).OrderBy(static port => port.Port)];

    private static IEnumerable<PciAddress> UnknownPorts(ImmutableArray<PeerPair> pairs) =>
        DecidingPorts(pairs).Where(static port => !port.Known).Select(static port => port.Port);

    private static string Ports(ImmutableArray<PeerPair> pairs)
    {
        List<P2pPort> ports = DecidingPorts(pairs);
        List<string> unknown = [.. ports.Where(static port => !port.Known).Select(static port => port.Port.ToString())];
        List<string> known = [.. ports.Where(static port => port.Known).Select(Describe)];
        string told = known.Count == 0 ? "" : Examination.Some(known, MostPorts);
        string lacking = unknown.Count == 0 ? "" : $"no extended configuration space (ACS control) of {Examination.Some(unknown, MostPorts)}";
        string all = string.Join("; ", new[] { told, lacking }.Where(static part => part.Length != 0));
        return all.Length == 0 ? "no port is between them" : all;
    }

    private static string Describe(P2pPort port) =>
        port.Acs is { } acs ? $"{port.Port} ACS control (ECAP_ACS+6) 0x{(int)acs.Enabled:x4}: {acs.Describe()}" : $"{port.Port} has no ACS";
}
