using System.Collections.Immutable;
using Aperture.Doctor.Checks;
using Aperture.Host.Model;

namespace Aperture.Doctor;

/// <summary>What was found of a machine for what is wanted of it.</summary>
/// <param name="Host">The machine.</param>
/// <param name="Devices">The devices that were looked at, in address order.</param>
/// <param name="Goals">What they are wanted for.</param>
/// <param name="Verdicts">Every verdict, worst first.</param>
public sealed record Diagnosis(HostMachine Host, ImmutableArray<HostFunction> Devices, Goals Goals, ImmutableArray<Verdict> Verdicts)
{
    /// <summary>Whether one goal can be reached.</summary>
    public Reachability Of(Goals goal)
    {
        IEnumerable<Verdict> counting = Verdicts.Where(verdict => (verdict.Goals & goal) != 0);
        return counting.Any(static verdict => verdict.Kind == VerdictKind.Cannot) ? Reachability.No
            : counting.Any(static verdict => verdict.Kind == VerdictKind.Unknown && verdict.Decides) ? Reachability.Unknown : Reachability.Yes;
    }

    /// <summary>True when all that is wanted can be reached.</summary>
    public bool CanBeReached => GoalWords.Each(Goals).All(goal => Of(goal) == Reachability.Yes);
}

/// <summary>Looks at a machine for what a user wants of it. Pure: everything is in the description.</summary>
public static class HostDoctor
{
    private static readonly (Goals For, Func<Examination, IEnumerable<Verdict>> Look)[] Looks =
    [
        (Goals.All, IommuCheck.Look),
        (Goals.Assigning, GroupCheck.Look),
        (Goals.All, KnownFaults.Look),
        (Goals.Assigning, ReservedCheck.Look),
        (Goals.All, AddressCheck.Look),
        (Goals.Mirror, MirrorCheck.Look),
        (Goals.P2p | Goals.GpuDirect, PeerCheck.Look),
        (Goals.Sriov, VirtualFunctionCheck.Look),
        (Goals.Passthrough | Goals.Sriov | Goals.Mirror, AccessControlCheck.Look),
        (Goals.P2p | Goals.GpuDirect, TranslationCheck.Look),
        (Goals.Assigning, AddressBitsCheck.Look),
        (Goals.Assigning, DecodingCheck.Look),
        (Goals.Passthrough | Goals.GpuDirect, ResizeCheck.Look),
        (Goals.Assigning, DriverCheck.Look),
        (Goals.Assigning, ResetCheck.Look),
        (Goals.Passthrough, InterruptCheck.Look),
        (Goals.Passthrough | Goals.P2p | Goals.GpuDirect, NodeCheck.Look),
        (Goals.Passthrough, MemoryCheck.Look),
        (Goals.All, KernelCheck.Look),
    ];

    /// <summary>Looks.</summary>
    /// <param name="host">The machine.</param>
    /// <param name="names">The functions that count; none for all that users want in guests.</param>
    /// <param name="goals">What they are wanted for; null for all that applies to them.</param>
    /// <param name="mirror">Tells why <c>--mirror</c> has no map for some functions, a sentence each; null where nobody can.</param>
    /// <exception cref="ApertureException">The machine has no such function, or nothing that fits.</exception>
    public static Diagnosis Examine(
        HostMachine host, IReadOnlyList<PciAddress> names, Goals? goals, Func<IReadOnlyList<PciAddress>, IReadOnlyList<string>>? mirror = null)
    {
        ArgumentNullException.ThrowIfNull(host);
        ArgumentNullException.ThrowIfNull(names);
        ImmutableArray<HostFunction> devices = DeviceSelection.Choose(host, names, goals ?? Goals.All);
        Goals wanted = goals ?? DeviceSelection.Applying(devices);
        Examination examination = new(host, devices, wanted)
        {
            MirrorConflicts = (wanted & Goals.Mirror) != 0 ? mirror?.Invoke([.. devices.Select(static device => device.Address)]) : null,
        };
        return new Diagnosis(host, devices, wanted,
        [
            .. Looks.Where(check => (check.For & wanted) != 0)
                .SelectMany(check => check.Look(examination).Select(verdict => verdict with
                {
                    Goals = (verdict.Goals == Goals.None ? check.For : verdict.Goals) & wanted,
                }))
                .Where(static verdict => verdict.Goals != Goals.None)
                .GroupBy(static verdict => (verdict.Kind, verdict.Check, verdict.Means, verdict.Seen))
                .Select(static same => same.First() with { Goals = same.Aggregate(Goals.None, static (all, verdict) => all | verdict.Goals) })
                .OrderBy(static verdict => Rank(verdict)),
        ]);
    }

    // What leaves the goal open comes before what is only to be done.
    private static int Rank(Verdict verdict) => verdict switch
    {
        { Kind: VerdictKind.Cannot } => 0,
        { Kind: VerdictKind.Unknown, Decides: true } => 1,
        _ => (int)verdict.Kind + 2,
    };
}
