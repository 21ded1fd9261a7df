using System.Globalization;
using System.Numerics;
using Aperture.Placement.Map;

namespace Aperture.Emission;

/// <summary>Writes a script that starts Cloud Hypervisor: one flat segment for each host bridge, with apertures in proportion to the plan's.</summary>
internal static class CloudHypervisorEmitter
{
    private const string Indent = "    ";
    private const ulong M = 1UL << 20;

    // The monitor's own limit on segments.
    private const int MostSegments = 96;

    // A segment is one bus, whose device 0 is the monitor's; on segment 0 the console and the source of random numbers, which are there by default, come next.
    private const int FirstDevice = 1;
    private const int FirstDeviceOfSegment0 = 3;
    private const int EndOfDevices = 32;

    /// <summary>The script.</summary>
    public static string Write(EmissionPlan plan)
    {
        ConfigText text = ConfigText.Hash();
        PlannedTree tree = PlannedTree.Of(plan.Map);
        int segments = Math.Clamp(tree.Roots.Count, 1, MostSegments);
        text.Line("#!/usr/bin/env bash");
        text.Comment("Cloud Hypervisor near the planned address map. Arguments of this script are added to the monitor's.");
        text.Line("args=(");
        text.Line(string.Create(CultureInfo.InvariantCulture, $"{Indent}--cpus boot=1,max_phys_bits={plan.Request.Platform.PhysicalAddressBits}"));
        text.Line($"{Indent}--memory size={ByteSize.Format(plan.Request.Platform.RamSize)}");
        text.Line(string.Create(CultureInfo.InvariantCulture, $"{Indent}--platform num_pci_segments={segments}"));
        Weights(text, plan.Map, segments);
        Devices(text, plan, tree);
        text.Line(")");
        text.Line();
        Gaps(text, plan, tree);
        text.Gaps("Cloud Hypervisor");
        text.Line();
        text.Line("exec cloud-hypervisor \"${args[@]}\" \"$@\"");
        return text.ToString();
    }

    private static void Weights(ConfigText text, PlacementMap map, int segments)
    {
        HostNeeds[] needs = [.. map.HostBridges.Take(segments).Select(HostNeeds.Of)];
        if (needs.Length == 0)
        {
            return;
        }

        uint[] low = Scale([.. needs.Select(n => n.LowBytes)]);
        uint[] high = Scale([.. needs.Select(n => n.HighBytes)]);
        text.Comment("A weight is a segment's share of the aperture, here in proportion to what the plan has in it.", Indent);
        text.Line($"{Indent}--pci-segment");
        for (int i = 0; i < needs.Length; i++)
        {
            HostBridgePlacement host = map.HostBridges[i];
            text.Comment($"{host.Name}: segment {Words.Hex(host.Segment, 4)}, buses {host.FirstBus:x2}-{host.LastBus:x2} of the plan", Indent);
            text.Line(string.Create(CultureInfo.InvariantCulture, $"{Indent}pci_segment={i},mmio32_aperture_weight={low[i]},mmio64_aperture_weight={high[i]}"));
            if (host.Segment != (uint)i || host.FirstBus != 0)
            {
                text.Gap($"{host.Name}: it is segment {i} with bus 00 here.");
            }
        }
    }

    /// <summary>Whole numbers from 1 in the proportion of the sizes, as small as they get without loss below a MiB.</summary>
    private static uint[] Scale(UInt128[] sizes)
    {
        ulong[] units = [.. sizes.Select(size => Math.Max(1, (ulong)((size + M - 1) / M)))];
        ulong divisor = units.Aggregate((a, b) => (ulong)BigInteger.GreatestCommonDivisor(a, b));
        ulong[] small = [.. units.Select(unit => unit / divisor)];
        int shift = Math.Max(0, BitOperations.Log2(small.Max()) - 30);
        return [.. small.Select(unit => (uint)Math.Max(1, unit >> shift))];
    }

    private static void Devices(ConfigText text, EmissionPlan plan, PlannedTree tree)
    {
        bool opened = false;
        for (int host = 0; host < tree.Roots.Count; host++)
        {
            Dictionary<PlannedFunction, int> slots = Slots(tree, host);
            foreach (PlannedFunction planned in tree.All.Where(f => f.HostIndex == host))
            {
                text.Comment($"{planned.Title}: {planned.Kind}", Indent);
                if (planned.Role == FunctionRole.Board)
                {
                    continue;
                }

                if (planned.Role != FunctionRole.Endpoint)
                {
                    text.Gap($"{planned.Title}: there are no ports or bridges; what lies behind {planned.Kind} sits on its segment's one bus.");
                    continue;
                }

                if (host >= MostSegments || !slots.TryGetValue(planned, out int slot))
                {
                    text.Gap($"{planned.Title}: "
                        + (host >= MostSegments ? $"there are {MostSegments} segments at most" : $"segment {host} takes {EndOfDevices - First(host)} devices")
                        + "; it is not written.");
                    continue;
                }

                bool known = plan.HostAddresses.TryGetValue(planned.Function.Name, out string? address);
                if (!known)
                {
                    text.Comment(string.Create(
                        CultureInfo.InvariantCulture,
                        $"--device path=/sys/bus/pci/devices/DDDD:BB:DD.F/,id={planned.Id},pci_segment={host},pci_device_id={slot}"), Indent);
                    continue;
                }

                if (!opened)
                {
                    text.Line($"{Indent}--device");
                    opened = true;
                }

                text.Line(Indent + Words.Shell(string.Create(
                    CultureInfo.InvariantCulture,
                    $"path=/sys/bus/pci/devices/{address}/,id={planned.Id},pci_segment={host},pci_device_id={slot}")));
            }
        }
    }

    private static int First(int segment) => segment == 0 ? FirstDeviceOfSegment0 : FirstDevice;

    /// <summary>
    /// The device number of each endpoint: the planned one where it is on the root bus and free, else the lowest that is; none for what no number is left for.
    /// </summary>
    private static Dictionary<PlannedFunction, int> Slots(PlannedTree tree, int host)
    {
        Dictionary<PlannedFunction, int> slots = [];
        SortedSet<int> free = [.. Enumerable.Range(First(host), EndOfDevices - First(host))];
        List<PlannedFunction> endpoints = [.. tree.All.Where(f => f.HostIndex == host && f.Role == FunctionRole.Endpoint)];
        foreach (PlannedFunction endpoint in endpoints.Where(f => f.Parent is null && f.Address.Function == 0))
        {
            if (free.Remove(endpoint.Address.Device))
            {
                slots.Add(endpoint, endpoint.Address.Device);
            }
        }

        foreach (PlannedFunction endpoint in endpoints.Where(f => !slots.ContainsKey(f)).Take(free.Count).ToList())
        {
            slots.Add(endpoint, free.Min);
            free.Remove(free.Min);
        }

        return slots;
    }

    private static void Gaps(ConfigText text, EmissionPlan plan, PlannedTree tree)
    {
        if (tree.All.Exists(f => f.Role == FunctionRole.Endpoint && !plan.HostAddresses.ContainsKey(f.Function.Name)))
        {
            text.Gap("devices without a host device: nothing is emulated for them; the comments show where a host device goes.");
        }

        text.Gap("function numbers, and device numbers of what is planned behind bridges: each device is function 0 of a number of its own. "
            + "Devices 01 and 02 of segment 0 are the monitor's.");
        SharedGaps.Pins(text, tree);
        SharedGaps.Capabilities(text, tree);
        text.Gap($"the low hole from {plan.Map.Ram.LowHoleStart}: it has a fixed start of its own, and apertures their own places inside.");
        foreach (EcamPlacement ecam in plan.Map.Ecams)
        {
            text.Gap($"ECAM of segment {ecam.Segment} at {ecam.Range}: its place is fixed.");
        }

        SharedGaps.RamPieces(text, plan.Map);
        SharedGaps.Reserved(text, plan.Request);
    }
}
