using Aperture.Host.Model;
using Aperture.Pci;

namespace Aperture.Host.Reports;

/// <summary>The pieces of a report's lines.</summary>
internal static class FunctionText
{
    /// <summary>Ids, class, driver, group and node on one line.</summary>
    internal static string Summary(HostFunction function)
    {
        List<string> parts =
        [
            $"{function.Identity.Vendor:x4}:{function.Identity.Device:x4}",
            PciClassNames.Find(function.Identity.ClassCode),
        ];
        if (function.Pcie is { } pcie)
        {
            parts.Add(PortName(pcie.Type) + (pcie.Slot is { } slot ? $" slot {slot}" : ""));
        }

        if (function.Bridge is { Subtractive: true })
        {
            parts.Add("subtractive decode");
        }

        if (function.PhysicalFunction is { } pf)
        {
            parts.Add($"VF of {pf}");
        }

        parts.Add(function.Driver is { } driver ? $"driver {driver}" : "no driver");
        if (function.IommuGroup is { } group)
        {
            parts.Add($"group {group}");
        }

        if (function.NumaNode is { } node)
        {
            parts.Add($"node {node}");
        }

        return string.Join(", ", parts);
    }

    /// <summary>Everything that takes addresses, and the capabilities that change what does: a line each.</summary>
    internal static IEnumerable<string> Details(HostFunction function)
    {
        if (function.Bridge is { } bridge)
        {
            string cards = string.Concat(bridge.CardBusWindows.Select(static window => Window("CardBus " + WindowName(window.Kind), window.Range)));
            yield return bridge.Configured
                ? $"buses {bridge.Secondary:x2}-{bridge.Subordinate:x2}{Window("io", bridge.Io)}{Window("mem", bridge.Memory)}"
                    + $"{Window("pref", bridge.Prefetchable)}{cards}"
                : "no bus numbers";
        }

        foreach (HostBar bar in function.AllBars)
        {
            yield return Bar(bar);
        }

        if (function.Sriov is { } sriov)
        {
            yield return $"sriov {sriov.NumVfs} of {sriov.TotalVfs} VFs, offset {sriov.FirstVfOffset}, stride {sriov.VfStride}";
            foreach (HostVfBar bar in sriov.VfBars)
            {
                yield return $"vf-{BarKinds.BarName(bar.Index)} {bar.Kind.Keyword()} {Size(bar.Size, bar.Origin)} each at "
                    + $"{bar.Address?.ToString() ?? "no address"}";
            }
        }

        foreach (HostResizableBar bar in function.ResizableBars)
        {
            yield return $"rebar {BarKinds.BarName(bar.BarIndex)} {ByteSize.Format(bar.CurrentSize)} now, up to {ByteSize.Format(bar.LargestSize)}";
        }

        if (function.Acs is { } acs)
        {
            yield return $"acs {acs.Describe()}";
        }

        if (function.Ats is { } ats)
        {
            yield return $"ats {(ats.Enabled ? "on" : "off")}";
        }
    }

    /// <summary>A BAR: number, kind, size, addresses, state.</summary>
    internal static string Bar(HostBar bar)
    {
        string place = bar.Range?.ToString() ?? bar.Address?.ToString() ?? "no address";
        string state = bar.Fixed ? " fixed" : bar.Assigned && !bar.Enabled ? " off" : "";
        return $"{BarKinds.BarName(bar.Index)} {bar.Kind.Keyword()} {Size(bar.Size, bar.Origin)} at {place}{state}";
    }

    /// <summary>A port type's name.</summary>
    internal static string PortName(HostPortType type) => type switch
    {
        HostPortType.Endpoint => "endpoint",
        HostPortType.LegacyEndpoint => "legacy endpoint",
        HostPortType.RootPort => "root port",
        HostPortType.SwitchUpstream => "switch upstream port",
        HostPortType.SwitchDownstream => "switch downstream port",
        HostPortType.PcieToPciBridge => "PCIe-to-PCI bridge",
        HostPortType.PciToPcieBridge => "PCI-to-PCIe bridge",
        HostPortType.RootComplexEndpoint => "root complex endpoint",
        HostPortType.RootComplexEventCollector => "root complex event collector",
        _ => "unknown port type",
    };

    private static string WindowName(CardBusWindowKind kind) => kind switch
    {
        CardBusWindowKind.Io => "io",
        CardBusWindowKind.Prefetchable => "pref",
        _ => "mem",
    };

    private static string Size(ulong size, SizeOrigin origin) => origin switch
    {
        SizeOrigin.Known => ByteSize.Format(size),
        SizeOrigin.Inferred => $"{ByteSize.Format(size)} at most",
        _ => "of unknown size",
    };

    private static string Window(string name, AddressRange? window) => window is { } range ? $", {name} {range}" : "";
}
