using System.Text.Json;
using Aperture.Host.Model;
using Aperture.Pci;

namespace Aperture.Host.Reports;

/// <summary>A machine as JSON.</summary>
public static class HostJson
{
    /// <summary>
    /// Writes the machine as one object, UTF-8, indented. Addresses and ids are hexadecimal strings, sizes in bytes are numbers; what is not known is left out.
    /// </summary>
    public static void Write(Stream output, HostMachine machine)
    {
        using Utf8JsonWriter writer = new(output, new JsonWriterOptions { Indented = true, NewLine = "\n" });
        Write(writer, machine);
    }

    /// <summary>Writes the machine as one object into a document of the caller's.</summary>
    public static void Write(Utf8JsonWriter json, HostMachine machine)
    {
        ArgumentNullException.ThrowIfNull(json);
        json.WriteStartObject();
        json.WriteStartObject("origin");
        json.WriteString("kind", machine.Origin.Kind.ToString());
        json.WriteString("name", machine.Origin.Name);
        json.WriteEndObject();
        List(json, "hostBridges", machine.HostBridges, static (json, bridge) =>
        {
            json.WriteString("domain", $"{bridge.Domain:x4}");
            json.WriteString("rootBus", $"{bridge.RootBus:x2}");
        });
        List(json, "functions", machine.Functions, Function);
        json.WriteBoolean("knowsIommuGroups", machine.KnowsIommuGroups);
        List(json, "iommuGroups", machine.IommuGroups, static (json, group) =>
        {
            json.WriteNumber("number", group.Number);
            Strings(json, "functions", group.Functions);
            List(json, "reservedRegions", group.ReservedRegions, static (json, region) =>
            {
                Range(json, region.Range);
                json.WriteString("type", region.Type);
            });
        });
        List(json, "numaNodes", machine.NumaNodes, static (json, node) =>
        {
            json.WriteNumber("number", node.Number);
            json.WriteString("cpus", node.Cpus);
            if (node.MemoryBytes is { } bytes)
            {
                json.WriteNumber("memoryBytes", bytes);
            }
        });
        List(json, "findings", machine.Findings, static (json, finding) =>
        {
            json.WriteString("severity", finding.Severity.ToString());
            json.WriteString("kind", finding.Kind.ToString());
            json.WriteString("function", finding.Function.ToString());
            json.WriteString("text", finding.Text);
        });
        json.WriteEndObject();
    }

    private static void Function(Utf8JsonWriter json, HostFunction function)
    {
        PciIdentity id = function.Identity;
        json.WriteString("address", function.Address.ToString());
        json.WriteString("vendor", $"{id.Vendor:x4}");
        json.WriteString("device", $"{id.Device:x4}");
        json.WriteString("subsystemVendor", $"{id.SubsystemVendor:x4}");
        json.WriteString("subsystem", $"{id.Subsystem:x4}");
        json.WriteString("class", $"{id.ClassCode:x6}");
        json.WriteString("className", PciClassNames.Find(id.ClassCode));
        json.WriteString("revision", $"{id.Revision:x2}");
        json.WriteNumber("headerType", function.HeaderType);
        json.WriteNumber("configBytes", function.Config.Length);
        Text(json, "driver", function.Driver);
        Number(json, "iommuGroup", function.IommuGroup);
        Number(json, "numaNode", function.NumaNode);
        Text(json, "parent", function.Parent?.ToString());
        Strings(json, "children", function.Children);
        Text(json, "physicalFunction", function.PhysicalFunction?.ToString());
        Bridge(json, function.Bridge);
        List(json, "bars", [.. function.AllBars], Bar);
        Capabilities(json, function);
    }

    private static void Bar(Utf8JsonWriter json, HostBar bar)
    {
        json.WriteString("name", BarKinds.BarName(bar.Index));
        json.WriteString("kind", bar.Kind.Keyword());
        Text(json, "address", bar.Address?.ToString());
        Text(json, "cpuAddress", bar.CpuAddress?.ToString());
        json.WriteNumber("size", bar.Size);
        json.WriteString("sizeOrigin", bar.Origin.ToString());
        json.WriteBoolean("enabled", bar.Enabled);
        json.WriteBoolean("fixed", bar.Fixed);
    }

    private static void Bridge(Utf8JsonWriter json, HostPciBridge? bridge)
    {
        if (bridge is null)
        {
            return;
        }

        json.WriteStartObject("bridge");
        json.WriteNumber("primary", bridge.Primary);
        json.WriteNumber("secondary", bridge.Secondary);
        json.WriteNumber("subordinate", bridge.Subordinate);
        Window(json, "io", bridge.Io);
        Window(json, "memory", bridge.Memory);
        Window(json, "prefetchable", bridge.Prefetchable);
        json.WriteBoolean("prefetchableIs64Bit", bridge.PrefetchableIs64Bit);
        json.WriteBoolean("subtractive", bridge.Subtractive);
        if (!bridge.CardBusWindows.IsEmpty)
        {
            List(json, "cardBusWindows", bridge.CardBusWindows, static (json, window) =>
            {
                json.WriteString("kind", window.Kind.ToString());
                Range(json, window.Range);
            });
        }

        json.WriteEndObject();
    }

    private static void Capabilities(Utf8JsonWriter json, HostFunction function)
    {
        if (function.Pcie is { } pcie)
        {
            json.WriteStartObject("pcie");
            json.WriteString("type", pcie.Type.ToString());
            Number(json, "slot", pcie.Slot);
            json.WriteBoolean("hotPlug", pcie.HotPlug);
            if (pcie.AriForwarding is { } forwarding)
            {
                json.WriteBoolean("ariForwarding", forwarding);
            }

            json.WriteEndObject();
        }

        if (function.Sriov is { } sriov)
        {
            json.WriteStartObject("sriov");
            json.WriteNumber("totalVfs", sriov.TotalVfs);
            json.WriteNumber("numVfs", sriov.NumVfs);
            json.WriteNumber("firstVfOffset", sriov.FirstVfOffset);
            json.WriteNumber("vfStride", sriov.VfStride);
            json.WriteString("vfDevice", $"{sriov.VfDeviceId:x4}");
            List(json, "vfBars", sriov.VfBars, static (json, bar) =>
            {
                json.WriteString("name", BarKinds.BarName(bar.Index));
                json.WriteString("kind", bar.Kind.Keyword());
                Text(json, "address", bar.Address?.ToString());
                json.WriteNumber("size", bar.Size);
                json.WriteString("sizeOrigin", bar.Origin.ToString());
            });
            json.WriteEndObject();
        }

        List(json, "resizableBars", function.ResizableBars, static (json, bar) =>
        {
            json.WriteString("name", BarKinds.BarName(bar.BarIndex));
            json.WriteNumber("size", bar.CurrentSize);
            json.WriteNumber("largestSize", bar.LargestSize);
            json.WriteString("supportedMiB", $"0x{bar.SupportedSizes:x}");
        });
        if (function.Acs is { } acs)
        {
            json.WriteString("acs", acs.Describe());
        }

        if (function.Ats is { } ats)
        {
            json.WriteBoolean("atsEnabled", ats.Enabled);
        }

        if (function.HasAri is { } ari)
        {
            json.WriteBoolean("ari", ari);
        }
    }

    private static void List<T>(Utf8JsonWriter json, string name, IReadOnlyList<T> items, Action<Utf8JsonWriter, T> write)
    {
        json.WriteStartArray(name);
        foreach (T item in items)
        {
            json.WriteStartObject();
            write(json, item);
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }

    private static void Strings(Utf8JsonWriter json, string name, IReadOnlyList<PciAddress> items)
    {
        json.WriteStartArray(name);
        foreach (PciAddress item in items)
        {
            json.WriteStringValue(item.ToString());
        }

        json.WriteEndArray();
    }

    private static void Window(Utf8JsonWriter json, string name, AddressRange? window)
    {
        if (window is { } range)
        {
            json.WriteStartObject(name);
            Range(json, range);
            json.WriteEndObject();
        }
    }

    private static void Range(Utf8JsonWriter json, AddressRange range)
    {
        json.WriteString("first", range.Start.ToString());
        json.WriteString("last", range.Last.ToString());
    }

    private static void Text(Utf8JsonWriter json, string name, string? value)
    {
        if (value is not null)
        {
            json.WriteString(name, value);
        }
    }

    private static void Number(Utf8JsonWriter json, string name, int? value)
    {
        if (value is { } number)
        {
            json.WriteNumber(name, number);
        }
    }
}
