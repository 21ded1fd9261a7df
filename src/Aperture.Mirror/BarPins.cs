using Aperture.Host.Model;
using Aperture.Pci;
using Aperture.Placement.Request;

namespace Aperture.Mirror;

/// <summary>A BAR that is to have its host address.</summary>
/// <param name="Node">Its function.</param>
/// <param name="Demand">The demand, pinned.</param>
/// <param name="Enabled">True when it decodes on the host.</param>
/// <param name="Size">Bytes in all: for a VF BAR those of all VFs.</param>
internal sealed record BarPin(MirrorNode Node, BarDemand Demand, bool Enabled, ulong Size)
{
    public ulong Start => Demand.Pin!.Value.Value;

    /// <summary>One past the last byte; saturates.</summary>
    public ulong End => Start + Size < Start ? ulong.MaxValue : Start + Size;

    public bool IsIo => Demand.Kind == BarKind.Io;

    public string Name => $"{Node.Name} {BarIndex.Name(Demand.Index)}";
}

/// <summary>Pins the BARs of the mirrored functions to their host addresses.</summary>
internal sealed class BarPins(MirrorUse use, LeftOut left, MirrorNotes notes)
{
    private const ulong SystemPage = 4096;

    private readonly List<BarPin> _pins = [];

    /// <summary>Pins everything below <paramref name="roots"/>; returns the pins.</summary>
    public IReadOnlyList<BarPin> Pin(IEnumerable<MirrorRoot> roots)
    {
        Stack<MirrorNode> open = new(roots.SelectMany(root => root.Functions));
        while (open.TryPop(out MirrorNode? node))
        {
            node.Children.ForEach(open.Push);
            // A guest's bridges have no BARs of their own; those of the host's bridges stay with the host.
            if (node.Host is { } function && !(use == MirrorUse.Assign && node.IsBridge))
            {
                Take(node, function);
            }
        }

        List<BarPin> kept = Disjoint(_pins.Where(pin => pin.IsIo)).Concat(Disjoint(_pins.Where(pin => !pin.IsIo))).ToList();
        foreach (IGrouping<MirrorNode, BarPin> group in kept.GroupBy(pin => pin.Node))
        {
            group.Key.Bars = [.. group.Select(pin => pin.Demand).OrderBy(bar => bar.Index)];
        }

        return kept;
    }

    private void Take(MirrorNode node, HostFunction function)
    {
        foreach (HostBar bar in function.AllBars)
        {
            string name = $"{function.Address} {BarKinds.BarName(bar.Index)}";
            if (bar.Fixed)
            {
                notes.Add("Not mirrored, because no register places them (legacy ports, ROM copies, Enhanced Allocation)", name);
            }
            else if (bar.Address is not { } address)
            {
                notes.Add("Not mirrored, because the host gave them no address", name);
            }
            else if (bar.Size == 0)
            {
                notes.Add("Not mirrored, because the description does not tell their size", name);
            }
            else if (left.ReasonFor(function, bar.Index) is { } reason)
            {
                notes.Add(reason, name);
            }
            else
            {
                Noteworthy(bar, name);
                _pins.Add(new BarPin(node, new BarDemand(bar.Index, bar.Kind, bar.Size, address) { PinIsHosts = true }, bar.Enabled, bar.Size));
            }
        }

        // A guest does not see the SR-IOV capability of a device that it is given.
        if (use == MirrorUse.Describe && function.Sriov is { TotalVfs: > 0 } sriov && !node.IsBridge)
        {
            TakeVfs(node, function, sriov);
        }
    }

    private void Noteworthy(HostBar bar, string name)
    {
        if (bar.Origin == SizeOrigin.Inferred)
        {
            notes.Add("Sizes that are upper bounds, because a hex dump has none", name);
        }

        if (bar.CpuAddress is { } cpu && cpu != bar.Address)
        {
            notes.Add("Mirrored at the address on the host's bus, which is what a peer uses; the host's CPU sees another", $"{name} at {cpu}");
        }
    }

    private void TakeVfs(MirrorNode node, HostFunction function, HostSriov sriov)
    {
        node.Sriov = new SriovDemand((ushort)sriov.TotalVfs) { FirstOffset = sriov.FirstVfOffset, Stride = sriov.VfStride };
        foreach (HostVfBar bar in sriov.VfBars)
        {
            string name = $"{function.Address} {BarIndex.Name(BarIndex.Vf0 + bar.Index)}";
            if (bar.Size == 0 || bar.Kind == BarKind.Io)
            {
                notes.Add("Not mirrored, because the description does not tell the size of these VF BARs", name);
                continue;
            }

            if (bar.Address is not { } address)
            {
                notes.Add("Not mirrored, because the host gave these VF BARs no address, so it cannot turn on its VFs",
                    $"{name} ({sriov.TotalVfs} of {ByteSize.Format(bar.Size)})");
                continue;
            }

            if (bar.Origin == SizeOrigin.Inferred)
            {
                notes.Add("Sizes that are upper bounds, because a hex dump has none", name);
            }

            ulong unit = Math.Max(bar.Size, SystemPage);
            _pins.Add(new BarPin(node, new BarDemand(BarIndex.Vf0 + bar.Index, bar.Kind, bar.Size, address) { PinIsHosts = true }, function.Sriov!.NumVfs > 0,
                unit * (ulong)sriov.TotalVfs));
        }
    }

    /// <summary>
    /// Leaves out BARs that do not decode on the host and lie over others: no more than one of them is real. BARs that do decode all stay, for the solver to
    /// judge.
    /// </summary>
    private IEnumerable<BarPin> Disjoint(IEnumerable<BarPin> candidates)
    {
        SortedList<ulong, ulong> taken = [];
        foreach (BarPin pin in candidates.OrderByDescending(pin => pin.Enabled).ThenBy(pin => pin.Start).ThenBy(pin => pin.Name, StringComparer.Ordinal))
        {
            int below = Below(taken.Keys, pin.End);
            bool overlaps = below >= 0 && taken.Values[below] > pin.Start;
            if (overlaps && !pin.Enabled)
            {
                notes.Add("Not mirrored, because they are off on the host and lie over other BARs", pin.Name);
                continue;
            }

            if (!overlaps)
            {
                taken.Add(pin.Start, pin.End);
            }
            else if (taken.Values[below] < pin.End)
            {
                taken.SetValueAtIndex(below, pin.End);
            }

            yield return pin;
        }
    }

    /// <summary>The last start below <paramref name="end"/>, or -1. Extents are disjoint, so it is the only one that can reach over another's start.</summary>
    private static int Below(IList<ulong> starts, ulong end)
    {
        int low = 0;
        for (int high = starts.Count; low < high;)
        {
            int middle = (low + high) / 2;
            (low, high) = starts[middle] < end ? (middle + 1, high) : (low, middle);
        }

        return low - 1;
    }
}
