using System.Collections.Immutable;
using System.Numerics;
using Aperture.Host.Model;
using Aperture.Pci;

namespace Aperture.Host.Building;

/// <summary>Looks for what cannot be, or is odd, in a machine's BARs and windows.</summary>
internal static class HostChecks
{
    /// <summary>Everything found, in no order.</summary>
    internal static List<HostFinding> Check(ImmutableArray<HostFunction> functions, IReadOnlyDictionary<PciAddress, HostFunction> byAddress)
    {
        List<HostFinding> findings = [];
        foreach (HostFunction function in functions)
        {
            HostFunction? parent = function.Parent is { } above ? byAddress[above] : null;
            foreach (HostBar bar in function.AllBars.Where(static bar => !bar.Fixed))
            {
                CheckBar(function, bar, parent, findings);
            }

            foreach (HostVfBar bar in function.Sriov?.VfBars ?? [])
            {
                CheckVfBar(function, bar, findings);
            }

            AddressChecks.Check(function, parent, findings);
            CheckWindows(function, parent, findings);
        }

        OverlapChecks.Check(functions, findings);
        return findings;
    }

    private static void CheckBar(HostFunction function, HostBar bar, HostFunction? parent, List<HostFinding> findings)
    {
        string name = $"{BarKinds.BarName(bar.Index)} of {function.Address}";
        if (bar.Origin == SizeOrigin.Known && (!BitOperations.IsPow2(bar.Size) || bar.Size < BarRules.SmallestSize(bar.Kind)))
        {
            Add(HostFindingSeverity.Error, HostFindingKind.BarSize, $"{name} has a size of 0x{bar.Size:x} bytes, which no {bar.Kind.Keyword()} BAR can have");
            return;
        }

        if (bar.Address is not { } address)
        {
            return;
        }

        if (bar.Origin == SizeOrigin.Known && !address.IsAligned(bar.Size))
        {
            Add(HostFindingSeverity.Error, HostFindingKind.Alignment, $"{name} is at {address}, which is no multiple of its size, {ByteSize.Format(bar.Size)}");
        }

        if (bar.CpuAddress is { } cpu && cpu != address)
        {
            Add(HostFindingSeverity.Note, HostFindingKind.Configuration,
                $"{name} is at {address} on the bus and at {cpu} for the CPU: the host bridge translates");
        }

        if (parent?.Bridge is { Subtractive: false } bridge && parent.HeaderType == 1 && bar.Range is { } range && !IsForwarded(bridge, bar, range))
        {
            Add(HostFindingSeverity.Warning, HostFindingKind.OutsideWindow, $"{name} at {range} lies outside what {parent.Address} above it forwards");
        }

        void Add(HostFindingSeverity severity, HostFindingKind kind, string text) => findings.Add(new HostFinding(severity, kind, function.Address, text));
    }

    private static bool IsForwarded(HostPciBridge bridge, HostBar bar, AddressRange range) => bar.Kind == BarKind.Io
        ? bridge.Io?.Contains(range) == true
        : bridge.Memory?.Contains(range) == true || bridge.Prefetchable?.Contains(range) == true;

    private static void CheckVfBar(HostFunction function, HostVfBar bar, List<HostFinding> findings)
    {
        if (bar.Origin == SizeOrigin.Known && !BitOperations.IsPow2(bar.Size))
        {
            findings.Add(new HostFinding(
                HostFindingSeverity.Error,
                HostFindingKind.BarSize,
                function.Address,
                $"VF {BarKinds.BarName(bar.Index)} of {function.Address} has a size of 0x{bar.Size:x} bytes for each VF, which no BAR can have"));
        }
    }

    private static void CheckWindows(HostFunction function, HostFunction? parent, List<HostFinding> findings)
    {
        if (function.Bridge is not { } own || parent?.Bridge is not { Subtractive: false } above || parent.HeaderType != 1)
        {
            return;
        }

        Check("I/O", own.Io, above.Io, null);
        Check("memory", own.Memory, above.Memory, above.Prefetchable);
        Check("prefetchable", own.Prefetchable, above.Prefetchable, above.Memory);

        void Check(string name, AddressRange? window, AddressRange? first, AddressRange? second)
        {
            if (window is { } range && first?.Contains(range) != true && second?.Contains(range) != true)
            {
                findings.Add(new HostFinding(
                    HostFindingSeverity.Warning,
                    HostFindingKind.OutsideWindow,
                    function.Address,
                    $"the {name} window {range} of {function.Address} lies outside what {parent.Address} above it forwards"));
            }
        }
    }
}
