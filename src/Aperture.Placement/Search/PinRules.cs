using Aperture.Pci;
using Aperture.Placement.Map;
using Aperture.Placement.Platforms;

namespace Aperture.Placement.Search;

/// <summary>What is wrong with a pin before anything else is looked at: by its own address, and against what the platform has taken.</summary>
internal static class PinRules
{
    private const ulong IoEnd = 0x1_0000;

    /// <summary>Faults that follow from the address and the BAR's kind alone; null when there are none.</summary>
    public static PinFault? ByItself(BarSpec bar, PlatformLimits platform)
    {
        if (bar.Pin is not { } pin)
        {
            return null;
        }

        ulong end = Arenas.SpaceEnd(platform);
        if (bar.Kind == BarKind.Io)
        {
            return pin.Value >= IoEnd || IoEnd - pin.Value < bar.Size
                ? new PinFault(PlacementConflictKind.OutOfWindow, "there are only 0x10000 I/O ports", new ConflictParty("the I/O port space"))
                : Alignment(pin, bar);
        }

        if (pin.Value >= end || end - pin.Value < bar.Size)
        {
            return new PinFault(
                PlacementConflictKind.AboveAddressBits,
                $"it would pass the guest's {platform.PhysicalAddressBits} physical address bits, which end at 0x{end - 1:x}",
                new ConflictParty("the guest's address width"));
        }

        bool reachesHigh = pin.Value >= PlatformLimits.FourGiB || PlatformLimits.FourGiB - pin.Value < bar.Size;
        if (reachesHigh && !bar.Kind.Is64Bit())
        {
            return new PinFault(PlacementConflictKind.OutOfRange32, "a 32-bit BAR must lie below 4 GiB", new ConflictParty("the 32-bit address space"));
        }

        if (reachesHigh && bar.Kind == BarKind.Memory64 && bar.Node.Parent is { } bridge)
        {
            return new PinFault(
                PlacementConflictKind.BridgeWindow,
                $"a non-prefetchable BAR must lie in the memory window of {bridge.Name}, which ends below 4 GiB",
                new ConflictParty($"the memory window of {bridge.Name}") { Function = bridge.Name });
        }

        return Alignment(pin, bar) ?? (reachesHigh && pin.Value < PlatformLimits.FourGiB
            ? new PinFault(PlacementConflictKind.OutOfRange32, "it would lie on both sides of 4 GiB, which no window does",
                new ConflictParty("the 32-bit address space"))
            : null);
    }

    /// <summary>Faults against RAM, ECAM, reserved ranges and windows; null when there are none. The pin has no fault by itself.</summary>
    public static PinFault? AgainstPlatform(BarSpec bar, Arenas arenas)
    {
        Arena arena = arenas[ArenaOf(bar)];
        int host = bar.Node.Host;
        Extent wanted = Extent.Sized(bar.Pin!.Value.Value, bar.Size);
        if (arena.Blocking(wanted) is { } taken)
        {
            return new PinFault(PlacementConflictKind.Overlap, $"it overlaps {taken.Origin} at {taken.Extent}", taken.Party);
        }

        IReadOnlyList<Extent> bounds = arena.BoundsOf(host);
        if (bounds.Any(bound => bound.Contains(wanted)))
        {
            return null;
        }

        // Without set bounds the only way out is down, onto the RAM that never moves.
        return arena.BoundsAreSet || arena.IsSet(host)
            ? new PinFault(
                PlacementConflictKind.OutOfWindow,
                bounds.Count == 0 ? $"there is no {arena.Name[4..]} for it" : $"it is not inside {arena.Name} {arena.BoundsText(host)}",
                new ConflictParty(arena.Name, bounds.Count == 1 ? bounds[0].ToRange() : null))
            : new PinFault(
                PlacementConflictKind.Overlap,
                $"it overlaps guest RAM, of which everything below 0x{arenas.HoleStart:x} stays where it is",
                new ConflictParty("guest RAM", arenas.Ram.LowEnd == 0 ? null : new Extent(0, arenas.Ram.LowEnd).ToRange()));
    }

    /// <summary>The address space that a pin without a fault by itself lies in.</summary>
    public static ArenaKind ArenaOf(BarSpec bar) =>
        bar.Kind == BarKind.Io ? ArenaKind.Io : bar.Pin?.Value >= PlatformLimits.FourGiB ? ArenaKind.High : ArenaKind.Low;

    private static PinFault? Alignment(GuestAddress pin, BarSpec bar)
    {
        if (!pin.IsAligned(bar.Unit))
        {
            return new PinFault(PlacementConflictKind.Misaligned, $"it must be a multiple of {(bar.Count > 1 ? "one VF's size" : "its size")}, 0x{bar.Unit:x}",
                new ConflictParty("its alignment"));
        }

        return pin.Value == 0
            ? new PinFault(PlacementConflictKind.OutOfWindow, "address 0 means that a BAR has none", new ConflictParty("address 0"))
            : null;
    }
}

/// <summary>Why a pin cannot be: the rule, the reason as it reads after a colon, and the other party.</summary>
internal sealed record PinFault(PlacementConflictKind Kind, string Reason, ConflictParty Obstacle);
