using Aperture.Host.Analysis;
using Aperture.Host.Model;
using Aperture.Placement;
using Aperture.Placement.Map;
using Aperture.Placement.Platforms;
using Aperture.Placement.Request;

namespace Aperture.Mirror;

/// <summary>
/// Gives a guest the host's own topology: the chosen functions with the bridges above them at their host addresses, as far as that is possible.
/// </summary>
public static class HostMirror
{
    // A request is tried with all windows as on the host, then without those in the way; after this many without any.
    private const int MostWindowAttempts = 8;

    /// <summary>
    /// The fewest physical address bits with which every address of <paramref name="host"/> can exist and <paramref name="ramSize"/> bytes of RAM fit beside
    /// them.
    /// </summary>
    public static int AddressBits(HostMachine host, ulong ramSize) => AddressWidth.Of(host, ramSize);

    /// <summary>
    /// Physical address bits with which every address of <paramref name="host"/> can exist and all that <paramref name="guest"/> asks for has room beside them.
    /// </summary>
    public static int AddressBits(HostMachine host, PlacementRequest guest) => AddressWidth.Of(host, guest);

    /// <summary>Plans <paramref name="selection"/> of <paramref name="host"/> for a guest that is <paramref name="guest"/> without it.</summary>
    /// <param name="host">The machine.</param>
    /// <param name="selection">What to mirror of it.</param>
    /// <param name="guest">The guest's own request: its platform, and its own functions on bus 0 of its first host bridge.</param>
    /// <exception cref="ApertureException">The host contradicts itself or lacks a function that was named; one sentence.</exception>
    public static MirrorPlan Plan(HostMachine host, MirrorSelection selection, PlacementRequest guest) => Plan(host, selection, guest, MirrorUse.Describe);

    /// <summary>As the other overload, for <paramref name="use"/>.</summary>
    /// <exception cref="ApertureException">As there; or a function cannot be given to a guest.</exception>
    public static MirrorPlan Plan(HostMachine host, MirrorSelection selection, PlacementRequest guest, MirrorUse use)
    {
        ArgumentNullException.ThrowIfNull(host);
        ArgumentNullException.ThrowIfNull(selection);
        ArgumentNullException.ThrowIfNull(guest);
        host.RequireConsistent();

        Source source = new(host, selection, guest, use, new LeftOut(host, selection, use));
        MirrorPlan asked = Attempt(source, new Identity(new HashSet<string>(), BusNumbers: true), []);
        for (MirrorPlan first = asked; ;)
        {
            MirrorPlan last = first.Result.Map is null ? WithFewerWindows(source, first) : first;
            if (last.Result.Map is not null)
            {
                return last;
            }

            if (!source.Left.Take(first.Result.Conflicts.Concat(last.Result.Conflicts)))
            {
                // Nothing helps: what stands in the way of what the user asked for is what counts, with less of the host's or without.
                return asked;
            }

            first = Attempt(source, new Identity(new HashSet<string>(), BusNumbers: true), []);
        }
    }

    private static MirrorPlan WithFewerWindows(Source source, MirrorPlan plan)
    {
        HostMachine host = source.Host;
        HashSet<string> loose = new(StringComparer.Ordinal);
        List<string> lost = [];
        for (int attempt = 1; plan.Result.Map is null && attempt <= MostWindowAttempts; attempt++)
        {
            int before = loose.Count;
            Loosen(host, plan.Result.Conflicts, loose);
            if (loose.Count == before)
            {
                break;
            }

            lost.Add(plan.Result.Conflicts[0].Sentence);
            plan = Attempt(source, new Identity(loose, BusNumbers: true), [WindowNote(loose, lost)]);
        }

        return plan.Result.Map is null ? WithoutWindows(source, plan) : plan;
    }

    private static MirrorPlan WithoutWindows(Source source, MirrorPlan failed)
    {
        string windows = $"Bridge windows are not as on the host, because {failed.Result.Conflicts[0].Sentence}";
        MirrorPlan plan = Attempt(source, new Identity(null, BusNumbers: true), [windows]);
        return plan.Result.Map is null && plan.Result.Conflicts.All(conflict => conflict.Kind == PlacementConflictKind.BusNumbers)
            ? Attempt(source, new Identity(null, BusNumbers: false),
                [windows, $"Bus numbers are not as on the host, because {plan.Result.Conflicts[0].Sentence}"])
            : plan;
    }

    private static string WindowNote(HashSet<string> loose, List<string> lost) =>
        $"Windows that are not as on the host, because {string.Join("; ", lost)}: {string.Join(", ", loose.Order(StringComparer.Ordinal))}";

    /// <summary>Lets go of the windows of the bridges that conflicts speak of, and of those above them.</summary>
    private static void Loosen(HostMachine host, IReadOnlyList<PlacementConflict> conflicts, HashSet<string> loose)
    {
        foreach (string? name in conflicts.SelectMany(conflict => new[] { conflict.Demand.Function, conflict.Obstacle?.Function }))
        {
            if (PciAddress.TryParse(name, out PciAddress address) && host.Find(address) is { } function)
            {
                IEnumerable<HostFunction> bridges = HostTopology.BridgesAbove(host, function);
                loose.UnionWith(bridges.Append(function).Where(bridge => bridge.Bridge is not null).Select(bridge => bridge.Address.ToString()));
            }
        }
    }

    private static MirrorPlan Attempt(Source source, Identity identity, IReadOnlyList<string> before)
    {
        (HostMachine host, MirrorSelection selection, PlacementRequest guest, MirrorUse use, LeftOut left) = source;
        MirrorNotes notes = new();
        foreach (string note in before)
        {
            notes.Add(note);
        }

        List<HostFunction> functions = Selected.From(host, selection, use, left, notes);
        List<MirrorRoot> roots = use == MirrorUse.Assign
            ? [new AssignedTree(host, notes).Make(functions, guest.HostBridges[0])]
            : [.. new TreeMaker(host, notes).Make(functions)];
        IReadOnlyList<BarPin> pins = new BarPins(use, left, notes).Pin(roots);
        List<HostFunction> mirrored = [.. Functions(roots)];
        PlatformLimits platform = new MirrorPlatform(host, use, notes).Make(guest.Platform, mirrored, pins);
        OwnFunctions.Add(roots, guest, notes);
        PlacementRequest request = new(platform, new RequestMaker(identity, notes).Make(roots));
        AcsNotes.Add(mirrored, notes);
        if (!selection.IsAll)
        {
            AssignmentNotes.For(host, [.. functions.Where(function => function.Bridge is null)]).ToList().ForEach(note => notes.Add(note));
        }

        PlacementResult result = PlacementSolver.Solve(request);
        TranslationNotes.Add(result, notes);
        return new MirrorPlan(
            request, result, [.. pins.Select(pin => new MirroredBar(pin.Node.Host!.Address, pin.Demand.Index, pin.Demand.Pin!.Value))], notes.Sentences())
        {
            Functions = mirrored.Select(function => function.Address).ToHashSet(),
        };
    }

    /// <summary>What every attempt starts from.</summary>
    private sealed record Source(HostMachine Host, MirrorSelection Selection, PlacementRequest Guest, MirrorUse Use, LeftOut Left);

    private static IEnumerable<HostFunction> Functions(IEnumerable<MirrorRoot> roots)
    {
        Stack<MirrorNode> open = new(roots.SelectMany(root => root.Functions));
        List<HostFunction> all = [];
        while (open.TryPop(out MirrorNode? node))
        {
            node.Children.ForEach(open.Push);
            if (node.Host is { } function)
            {
                all.Add(function);
            }
        }

        return all.OrderBy(function => function.Address);
    }
}
