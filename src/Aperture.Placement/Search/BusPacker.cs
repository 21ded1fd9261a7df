namespace Aperture.Placement.Search;

/// <summary>Places everything on the root buses in one arena: what is pinned, then the rest of each host bridge.</summary>
internal sealed class BusPacker
{
    private readonly Arena _arena;
    private readonly bool _everywhere;
    private readonly SearchBudget _budget;
    private readonly List<Block>[] _byHost;

    private BusPacker(Arena arena, bool everywhere, IReadOnlyList<Block> children, int hosts, SearchBudget budget)
    {
        _arena = arena;
        _everywhere = everywhere;
        _budget = budget;
        _byHost = new List<Block>[hosts];
        foreach (Block child in children)
        {
            (_byHost[child.Node.Host] ??= []).Add(child);
        }
    }

    /// <summary>
    /// Settles the blocks, those that float where automatic placement goes or <paramref name="everywhere"/> that a pin may lie; null on success.
    /// </summary>
    public static Failure? Place(Arena arena, bool everywhere, IReadOnlyList<Block> children, int hosts, SearchBudget budget)
    {
        BusPacker packer = new(arena, everywhere, children, hosts, budget);
        if (packer.SettleForced(children) is { } pinned)
        {
            return pinned;
        }

        List<Block> shared = [];
        List<int> sharing = [];
        for (int host = 0; host < hosts; host++)
        {
            List<Block> floating = [.. (packer._byHost[host] ?? []).Where(child => child.Floats)];
            if (floating.Count == 0)
            {
                continue;
            }

            if (!arena.IsSet(host))
            {
                sharing.Add(host);
                shared.AddRange(floating);
            }
            else if (packer.PlaceFloating(floating, packer.Free(host, children)) is { } failure)
            {
                return failure;
            }
        }

        if (shared.Count == 0)
        {
            return null;
        }

        FreeSpace free = packer.Free(sharing[0], children);
        return sharing.Count > 1 && packer.TryApart(sharing, free) ? null : packer.PlaceFloating(shared, free);
    }

    private Failure? SettleForced(IReadOnlyList<Block> children)
    {
        FreeSpace? shared = null;
        ForcedPlacer placer = new(_budget);
        for (int host = 0; host < _byHost.Length; host++)
        {
            if (_byHost[host] is not { } own || own.TrueForAll(child => child.Floats))
            {
                continue;
            }

            FreeSpace free = _arena.IsSet(host) ? _arena.LegalOf(host) : shared ??= Without(_arena.LegalOf(host), children);
            if (placer.Settle(own, free) is { } failure)
            {
                return failure;
            }
        }

        return null;
    }

    private static FreeSpace Without(FreeSpace free, IEnumerable<Block> forced)
    {
        foreach (Block block in forced)
        {
            free.Remove(block.Forced);
        }

        return free;
    }

    private FreeSpace Free(int host, IEnumerable<Block> placed)
    {
        FreeSpace free = _everywhere ? _arena.LegalOf(host) : _arena.AutomaticOf(host);
        foreach (Block block in placed)
        {
            free.Remove(block.Placed);
        }

        return free;
    }

    private Failure? PlaceFloating(List<Block> floating, FreeSpace free)
    {
        if (floating.Find(block => block.Shapes.Length == 0) is { } huge)
        {
            return new Failure(huge, null, free, ForcedPlacer.Total(floating));
        }

        List<Block> sorted = HullPacker.Sorted(floating);
        List<Part> parts = new(sorted.Count);
        int failed = new PlaceSearch(sorted, 0, _budget).Run(free, parts, goBack: true);
        if (failed < 0)
        {
            Settle(parts);
            return null;
        }

        Block? alone = floating.Find(block => !block.Shapes.Any(shape => free.TryFirst(0, shape, out _)));
        return new Failure(alone ?? sorted[failed], null, free, ForcedPlacer.Total(floating)) { Left = Left(sorted, free) };
    }

    // One after the other would come to the same: what lies before a block that is taken out stays where it is.
    private static List<Block> Left(List<Block> sorted, FreeSpace free)
    {
        List<Block> left = [];
        FreeSpace rest = free.Clone();
        foreach (Block block in sorted.TrueForAll(block => block is BarBlock { IsNatural: true }) ? sorted : [])
        {
            if (rest.TryFirst(0, block.Shapes[0], out ulong start))
            {
                rest.Remove(Extent.Sized(start, block.Shapes[0].Size));
            }
            else
            {
                left.Add(block);
            }
        }

        return left;
    }

    /// <summary>Gives each host bridge a run of its own, one after the other; false, with nothing settled, when that does not fit.</summary>
    private bool TryApart(List<int> hosts, FreeSpace free)
    {
        ulong unit = _arena.Kind switch { ArenaKind.Io => 1UL << 12, ArenaKind.Low => 1UL << 20, _ => 1UL << 30 };
        FreeSpace left = free.Clone();
        List<Part> all = [];
        ulong floor = 0;
        foreach (int host in hosts)
        {
            List<Block> floating = [.. _byHost[host].Where(child => child.Floats)];
            List<Part> parts = [];
            if (floating.Exists(block => block.Shapes.Length == 0)
                || new PlaceSearch(HullPacker.Sorted(floating), floor, _budget).Run(left, parts, goBack: false) >= 0)
            {
                return false;
            }

            foreach (Part part in parts)
            {
                left.Remove(part.Extent);
                floor = Math.Max(floor, part.Extent.End);
            }

            floor = Align.Up(floor, unit);
            all.AddRange(parts);
        }

        Settle(all);
        return true;
    }

    private static void Settle(List<Part> parts)
    {
        foreach (Part part in parts)
        {
            part.Block.Settle(part.Shape, part.Start);
        }
    }
}
