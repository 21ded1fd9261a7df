using System.Globalization;
using Aperture.Placement.Platforms;
using ReservedRange = Aperture.Placement.Platforms.ReservedRange;

namespace Aperture.Emission;

/// <summary>Writes an <c>xl.cfg</c> for a Xen HVM guest: a flat bus, a hole of a given size, host devices at virtual slots.</summary>
internal static class XlEmitter
{
    private const ulong M = 1UL << 20;

    // libxl takes 256 to 3840 MiB for mmio_hole.
    private const ulong LeastHole = 256;
    private const ulong MostHole = 3840;

    // Slots 0 to 3 of the emulated board are taken by itself.
    private const int FirstSlot = 4;

    /// <summary>The file.</summary>
    public static string Write(EmissionPlan plan)
    {
        ConfigText text = ConfigText.Hash();
        PlannedTree tree = PlannedTree.Of(plan.Map);
        text.Comment("A Xen HVM guest near the planned address map, for xl create.");
        text.Line("name = \"aperture\"");
        text.Line("type = \"hvm\"");
        Memory(text, plan);
        bool host = plan.Request.Platform.Reserved.Any(IsHostRegion);
        text.Comment(host ? "The host's reserved device memory stays out of RAM and of the hole."
            : "The plan has no reserved device memory of the host; xl adds the devices' own.");
        text.Line("rdm = \"strategy=host,policy=strict\"");
        Devices(text, plan, tree);
        SharedGaps.Pins(text, tree);
        SharedGaps.Capabilities(text, tree);
        SharedGaps.RamPieces(text, plan.Map);
        SharedGaps.Reserved(text, plan.Request, IsHostRegion);
        if (plan.Map.HostBridges.Count > 1 || plan.Map.HostBridges.Any(b => b.Segment != 0))
        {
            text.Gap("more than one host bridge or segment: the guest has one bus.");
        }

        if (plan.Map.Ecams.Count > 0)
        {
            text.Gap("ECAM: the emulated board is an i440fx, which has none.");
        }

        text.Gap($"{plan.Request.Platform.PhysicalAddressBits} physical address bits: the guest's width follows from the host's CPUID policy.");
        text.Line();
        text.Gaps("xl");
        return text.ToString();
    }

    private static bool IsHostRegion(ReservedRange range) => range.Kind == ReservedKind.Rmrr;

    private static void Memory(ConfigText text, EmissionPlan plan)
    {
        ulong ram = plan.Request.Platform.RamSize;
        text.Line(string.Create(CultureInfo.InvariantCulture, $"memory = {(ram + M - 1) / M}"));
        if (ram % M != 0)
        {
            text.Gap($"{ram} bytes of RAM: memory counts in MiB.");
        }

        GuestAddress start = plan.Map.Ram.LowHoleStart;
        ulong wanted = (PlatformLimits.FourGiB - start.Value + M - 1) / M;
        ulong hole = Math.Clamp(wanted, LeastHole, MostHole);
        text.Comment($"The hole below 4 GiB, in MiB: the plan's starts at {start}.");
        text.Line(string.Create(CultureInfo.InvariantCulture, $"mmio_hole = {hole}"));
        if (hole != wanted || start.Value % M != 0)
        {
            text.Gap($"a low hole from {start}: mmio_hole takes whole MiB from {LeastHole} to {MostHole}.");
        }
    }

    private static void Devices(ConfigText text, EmissionPlan plan, PlannedTree tree)
    {
        text.Comment("BDF of the host, @slot in the guest. Give a host device for each commented line.");
        text.Line("pci = [");
        HashSet<int> slots = [];
        foreach (PlannedFunction planned in tree.All)
        {
            text.Comment($"{planned.Title}: {planned.Kind}", "    ");
            if (planned.Role == FunctionRole.Board)
            {
                continue;
            }

            if (planned.Role != FunctionRole.Endpoint)
            {
                text.Gap($"{planned.Title}: there is no port or bridge to put devices behind; what lies behind {planned.Kind} sits on the one bus.");
                continue;
            }

            Device(text, plan, planned, slots);
        }

        text.Line("]");
    }

    private static void Device(ConfigText text, EmissionPlan plan, PlannedFunction planned, HashSet<int> slots)
    {
        // A device on the root bus keeps its slot if it is free; the others follow where there is room.
        int wanted = planned.Parent is null && planned.Address.Device >= FirstSlot ? planned.Address.Device : FirstSlot;
        int slot = Enumerable.Range(wanted, 32 - wanted).Concat(Enumerable.Range(FirstSlot, 32 - FirstSlot)).FirstOrDefault(s => !slots.Contains(s));
        if (slot == 0)
        {
            text.Gap($"{planned.Title}: the one bus has no slot left for it.");
            return;
        }

        slots.Add(slot);
        if (planned.Parent is null && slot != planned.Address.Device)
        {
            text.Gap($"{planned.Title}: it sits at slot {slot:x2}, because its own belongs to the emulated board or to another device.");
        }

        if (plan.HostAddresses.TryGetValue(planned.Function.Name, out string? host) && HostAddress.Parse(host) is not null)
        {
            text.Line($"    \"{host}@{slot:x2},rdm_policy=strict\",");
        }
        else
        {
            text.Comment($"\"DDDD:BB:DD.F@{slot:x2},rdm_policy=strict\",", "    ");
        }
    }
}
