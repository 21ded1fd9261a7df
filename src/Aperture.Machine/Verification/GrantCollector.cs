using Aperture.Memory;
using Aperture.Memory.Faulting;

namespace Aperture.Machine.Verification;

/// <summary>Finds the memory of a view whose pages come at a touch, and what is in place there.</summary>
internal static class GrantCollector
{
    /// <summary>All of it, by address. Any thread.</summary>
    public static IReadOnlyList<FoundGranted> Collect(FlatView view)
    {
        List<FoundGranted> found = [];
        foreach (ref readonly FlatRange run in view.Ranges)
        {
            if (run.Region.Block?.Faulting is { } memory)
            {
                ulong first = run.Region.RamOffset + run.OffsetInRegion;
                found.Add(new FoundGranted(run.Range, run.Region.Name, Shown(memory, run.Range, first), memory.Counts, memory.Verify()));
            }
        }

        return found;
    }

    // What of the memory's runs a range shows from an offset on.
    private static List<FoundGrant> Shown(FaultingMemory memory, AddressRange range, ulong first)
    {
        List<FoundGrant> grants = [];
        foreach (GrantRun run in memory.Runs)
        {
            ulong start = Math.Max(run.Offset, first);
            ulong end = Math.Min(run.Offset + run.Size, first + range.Size);
            if (start < end)
            {
                bool isGranted = run.Kind == GrantRunKind.Granted;
                grants.Add(new FoundGrant(
                    new AddressRange(range.Start + (start - first), end - start),
                    isGranted ? run.Source : null,
                    isGranted ? run.SourceOffset + (start - run.Offset) : 0,
                    run.IsWritable));
            }
        }

        return grants;
    }
}
