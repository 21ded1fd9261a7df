using Aperture.Host.Analysis;
using Aperture.Host.Model;
using Aperture.Pci;
using Aperture.Placement.Map;

namespace Aperture.Mirror;

/// <summary>
/// BARs that are left out where they stand in the way of a whole machine: those of platform functions that no guest needs, and those that a subtractive bridge
/// forwards without a window, as no port of a guest can. What the user named is never left out.
/// </summary>
internal sealed class LeftOut(HostMachine host, MirrorSelection selection, MirrorUse use)
{
    private const uint SmbusClass = 0x0C05;
    private const uint OtherBridgeClass = 0x0680;

    // Memory controllers, system peripherals (timers, HPET, IOMMU, uncore), performance counters and their like.
    private static readonly uint[] PlatformBaseClasses = [0x05, 0x08, 0x11];

    private readonly Dictionary<(PciAddress Function, int Bar), string> _reasons = [];

    /// <summary>Takes the BARs that <paramref name="conflicts"/> speak of, where they may go; false when there is none more.</summary>
    public bool Take(IEnumerable<PlacementConflict> conflicts)
    {
        int before = _reasons.Count;
        foreach (PlacementConflict conflict in conflicts)
        {
            Take(conflict.Demand, conflict);
            Take(conflict.Obstacle, conflict);
        }

        return _reasons.Count != before;
    }

    /// <summary>Why a BAR is left out; null when it is not.</summary>
    public string? ReasonFor(HostFunction function, int bar) => _reasons.GetValueOrDefault((function.Address, bar));

    /// <summary>Why a function is not passed at all: a device without one of its BARs is none. Null when it may be.</summary>
    public string? ReasonFor(HostFunction function) =>
        use == MirrorUse.Assign ? function.AllBars.Select(bar => ReasonFor(function, bar.Index)).FirstOrDefault(reason => reason is not null) : null;

    private void Take(ConflictParty? party, PlacementConflict conflict)
    {
        if (party?.Bar is not { } index || !PciAddress.TryParse(party.Function, out PciAddress address) || host.Find(address) is not { } function
            || selection.Named.Contains(address) || _reasons.ContainsKey((address, index)))
        {
            return;
        }

        if (IsPlatform(function))
        {
            _reasons.Add((address, index), $"Not mirrored, because no guest needs this function of the host's platform ({PlainSentence(conflict)})");
        }
        else if (use == MirrorUse.Describe && SubtractiveAbove(function, index) is { } bridge)
        {
            _reasons.Add(
                (address, index),
                $"Not mirrored, because {bridge.Address} forwards them by subtractive decode, which takes no window and which no port of a guest does");
        }
    }

    private static bool IsPlatform(HostFunction function)
    {
        uint code = function.Identity.ClassCode;
        return function.Bridge is null && (code >> 8 is SmbusClass or OtherBridgeClass || Array.IndexOf(PlatformBaseClasses, code >> 16) >= 0);
    }

    private HostFunction? SubtractiveAbove(HostFunction function, int index)
    {
        HostBar? bar = function.AllBars.FirstOrDefault(bar => bar.Index == index);
        return bar?.Range is not { } range
            ? null
            : HostTopology.BridgesAbove(host, function).FirstOrDefault(bridge => bridge.Bridge is { Subtractive: true } windows
                && !(bar.Kind == BarKind.Io ? windows.Io?.Contains(range) == true : windows.Memory?.Contains(range) == true
                    || windows.Prefetchable?.Contains(range) == true));
    }

    // Where it might go instead is of no use for a BAR that is to stay where the host has it.
    private static string PlainSentence(PlacementConflict conflict)
    {
        int end = conflict.Sentence.IndexOf("; ", StringComparison.Ordinal);
        return end < 0 ? conflict.Sentence : conflict.Sentence[..end];
    }
}
