using System.Collections.Immutable;
using Aperture.Host.Model;
using Aperture.Pci;
using Aperture.Pci.Registers;

namespace Aperture.Host.Building;

/// <summary>Looks for two BARs, or two windows of sibling bridges, that claim one address.</summary>
internal static class OverlapChecks
{
    // Linux numbers the domains behind a device, such as Intel's VMD, from here: their BARs lie in a BAR of that device.
    private const uint FirstVirtualDomain = 0x10000;

    /// <summary>Adds a finding for each claim that begins inside an earlier one; at most one for each claim.</summary>
    internal static void Check(ImmutableArray<HostFunction> functions, List<HostFinding> findings)
    {
        List<Claim> claims = [];
        foreach (HostFunction function in functions)
        {
            foreach (HostBar bar in function.AllBars)
            {
                // A ROM that is off may share another's decoder; what is fixed overlaps by design (VGA and IDE).
                if (bar.Fixed || bar.Origin != SizeOrigin.Known || bar.Range is not { } range || (bar.Kind == BarKind.Rom && !bar.Enabled))
                {
                    continue;
                }

                bool isIo = bar.Kind == BarKind.Io;
                GuestAddress start = bar.CpuAddress ?? range.Start;
                if (AddressRange.Fits(start, range.Size))
                {
                    // CPU addresses are the machine's; bus addresses and ports only the domain's.
                    claims.Add(new Claim(
                        bar.CpuAddress is null || isIo || function.Address.Domain >= FirstVirtualDomain ? function.Address.Domain : uint.MaxValue,
                        isIo ? "io" : "", default, new AddressRange(start, range.Size), function.Address, BarKinds.BarName(bar.Index), bar.Enabled));
                }
            }

            if (function.Bridge is { } bridge)
            {
                PciAddress group = function.Parent ?? new PciAddress(function.Address.Domain, new Bdf(function.Address.Bus, 0, 0));
                AddWindow(claims, function, group, "I/O window", bridge.Io);
                AddWindow(claims, function, group, "memory window", bridge.Memory);
                AddWindow(claims, function, group, "prefetchable window", bridge.Prefetchable);
            }
        }

        claims.Sort(static (left, right) => left.CompareTo(right));
        for (int i = 1, furthest = 0; i < claims.Count; i++)
        {
            Claim before = claims[furthest];
            Claim claim = claims[i];
            bool sameSpace = before.SameSpace(claim);
            if (sameSpace && before.Range.Overlaps(claim.Range) && !before.IsOwnPair(claim))
            {
                findings.Add(new HostFinding(
                    before.Enabled && claim.Enabled ? HostFindingSeverity.Error : HostFindingSeverity.Warning,
                    HostFindingKind.Overlap,
                    claim.Function,
                    $"{claim.Name} of {claim.Function} at {claim.Range} overlaps {before.Name} of {before.Function} at {before.Range}"));
            }

            if (!sameSpace || claim.Range.Last > before.Range.Last)
            {
                furthest = i;
            }
        }
    }

    private static void AddWindow(List<Claim> claims, HostFunction function, PciAddress group, string name, AddressRange? window)
    {
        if (window is { } range && function.Bridge is { Subtractive: false })
        {
            bool isIo = name[0] == 'I';
            bool enabled = ((function.Command ?? 0) & (isIo ? PciCommand.IoSpace : PciCommand.MemorySpace)) != 0;
            claims.Add(new Claim(function.Address.Domain, (isIo ? "io window" : "window") + (function.Parent is null ? " of the root" : ""), group, range,
                function.Address, name, enabled));
        }
    }

    /// <summary>A range that a function takes, in a space where nobody else may.</summary>
    private sealed record Claim(uint Domain, string Space, PciAddress Group, AddressRange Range, PciAddress Function, string Name, bool Enabled)
        : IComparable<Claim>
    {
        internal bool SameSpace(Claim other) => Domain == other.Domain && Space == other.Space && Group == other.Group;

        /// <summary>Two windows of one bridge: nothing is wrong with memory that both forward.</summary>
        internal bool IsOwnPair(Claim other) => Space.Length > 2 && Function == other.Function;

        public int CompareTo(Claim? other)
        {
            int order = Domain.CompareTo(other!.Domain);
            order = order != 0 ? order : string.CompareOrdinal(Space, other.Space);
            order = order != 0 ? order : Group.CompareTo(other.Group);
            order = order != 0 ? order : Range.CompareTo(other.Range);
            return order != 0 ? order : Function.CompareTo(other.Function);
        }
    }
}
