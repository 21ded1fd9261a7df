using Aperture.Host.Analysis;
using Aperture.Host.Model;

namespace Aperture.Host.Reports;

/// <summary>How a report is laid out.</summary>
public enum HostReportFormat : byte
{
    /// <summary>Host bridges, bridges and functions, indented.</summary>
    Tree,

    /// <summary>One line for each function, in address order, its BARs below.</summary>
    Table,
}

/// <summary>What a report shows.</summary>
/// <param name="Format">The layout.</param>
/// <param name="Bars">Whether BARs, windows and capabilities are listed.</param>
/// <param name="Groups">Whether IOMMU groups with their reserved regions, and NUMA nodes, are listed.</param>
/// <param name="Findings">Whether findings are listed.</param>
public sealed record HostReportOptions(HostReportFormat Format = HostReportFormat.Tree, bool Bars = true, bool Groups = true, bool Findings = true);

/// <summary>A machine as text.</summary>
public static class HostReport
{
    /// <summary>Writes the report; lines end in a line feed.</summary>
    public static void Write(TextWriter writer, HostMachine machine, HostReportOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        Line(writer, $"{machine.Functions.Length} PCI functions below {machine.HostBridges.Length} host bridges, from {OriginText(machine.Origin)}");
        if (options.Format == HostReportFormat.Tree)
        {
            WriteTree(writer, machine, options);
        }
        else
        {
            WriteTable(writer, machine, options);
        }

        if (options.Groups)
        {
            WriteGroups(writer, machine);
        }

        if (options.Findings)
        {
            foreach (HostFinding finding in machine.Findings)
            {
                Line(writer, $"{SeverityText(finding.Severity)}: {finding.Text}");
            }
        }
    }

    /// <summary>Writes one function with all that is known of it, and the bridges above it, nearest first.</summary>
    /// <exception cref="ApertureException">The machine has no such function.</exception>
    public static void WriteFunction(TextWriter writer, HostMachine machine, PciAddress address)
    {
        HostFunction function = machine.Find(address)
            ?? throw new ApertureException($"{machine.Origin.Name}: there is no function {address}; 'aperture host' lists those that are there");
        WriteFunction(writer, function, "", details: true);
        foreach (HostFunction bridge in HostTopology.BridgesAbove(machine, function))
        {
            WriteFunction(writer, bridge, "    below ", details: false);
        }

        foreach (HostFinding finding in machine.Findings.Where(finding => finding.Function == address && finding.Severity == HostFindingSeverity.Note))
        {
            Line(writer, $"    note: {finding.Text}");
        }
    }

    private static void WriteTree(TextWriter writer, HostMachine machine, HostReportOptions options)
    {
        foreach (HostBridge bridge in machine.HostBridges)
        {
            Line(writer, $"host bridge {bridge.Domain:x4}:{bridge.RootBus:x2}");

            // A stack, not recursion: a chain of 255 bridges is legal.
            Stack<(PciAddress Address, int Depth)> open = new(bridge.RootFunctions.Reverse().Select(static address => (address, 1)));
            while (open.TryPop(out (PciAddress Address, int Depth) next))
            {
                HostFunction function = machine.Find(next.Address)!;
                WriteFunction(writer, function, new string(' ', 2 * next.Depth), options.Bars);
                foreach (PciAddress child in function.Children.Reverse())
                {
                    open.Push((child, next.Depth + 1));
                }
            }
        }
    }

    private static void WriteTable(TextWriter writer, HostMachine machine, HostReportOptions options)
    {
        string[] heads = ["address", "id", "class", "driver", "group", "node"];
        List<string[]> rows = [heads];
        rows.AddRange(machine.Functions.Select(static function => (string[])
        [
            function.Address.ToString(),
            $"{function.Identity.Vendor:x4}:{function.Identity.Device:x4}",
            PciClassNames.Find(function.Identity.ClassCode),
            function.Driver ?? "-",
            function.IommuGroup?.ToString() ?? "-",
            function.NumaNode?.ToString() ?? "-",
        ]));
        int[] widths = [.. heads.Select((_, column) => rows.Max(row => row[column].Length))];
        for (int i = 0; i < rows.Count; i++)
        {
            Line(writer, string.Join("  ", rows[i].Select((cell, column) => cell.PadRight(widths[column]))).TrimEnd());
            if (i > 0 && options.Bars)
            {
                WriteDetails(writer, machine.Functions[i - 1], "    ");
            }
        }
    }

    private static void WriteFunction(TextWriter writer, HostFunction function, string indent, bool details)
    {
        Line(writer, $"{indent}{function.Address} {FunctionText.Summary(function)}");
        if (details)
        {
            WriteDetails(writer, function, indent + "    ");
        }
    }

    private static void WriteDetails(TextWriter writer, HostFunction function, string indent)
    {
        foreach (string line in FunctionText.Details(function))
        {
            Line(writer, indent + line);
        }
    }

    private static void WriteGroups(TextWriter writer, HostMachine machine)
    {
        foreach (HostIommuGroup group in machine.IommuGroups)
        {
            Line(writer, $"IOMMU group {group.Number}: {string.Join(' ', group.Functions)}");
            foreach (HostReservedRegion region in group.ReservedRegions)
            {
                Line(writer, $"    reserved {region.Range} {region.Type}");
            }
        }

        if (machine.IommuGroups.IsEmpty)
        {
            Line(writer, machine.KnowsIommuGroups ? "no IOMMU groups: the IOMMU is off or absent" : "IOMMU groups are not part of the description");
        }

        foreach (HostNumaNode node in machine.NumaNodes)
        {
            Line(writer, $"NUMA node {node.Number}: CPUs "
                + $"{(node.Cpus.Length == 0 ? "none" : node.Cpus)}{(node.MemoryBytes is { } bytes ? $", memory {ByteSize.Format(bytes)}" : "")}");
        }
    }

    private static string OriginText(HostOrigin origin) => origin.Kind switch
    {
        HostOriginKind.LiveSysfs => "this machine",
        HostOriginKind.CapturedTree => $"the captured tree {origin.Name}",
        HostOriginKind.CapturedArchive => $"the archive {origin.Name}",
        _ => $"the lspci listing {origin.Name}",
    };

    private static string SeverityText(HostFindingSeverity severity) => severity switch
    {
        HostFindingSeverity.Error => "error",
        HostFindingSeverity.Warning => "warning",
        _ => "note",
    };

    private static void Line(TextWriter writer, string text)
    {
        writer.Write(text);
        writer.Write('\n');
    }
}
