using System.Numerics;
using Aperture.Host.Model;
using Aperture.Pci;

namespace Aperture.Host.Building;

/// <summary>Looks for BARs that the host found no address for, and says why where the bridge above tells.</summary>
internal static class AddressChecks
{
    private const uint BridgeClass = 0x06;

    /// <summary>Adds a finding for the memory BARs of <paramref name="function"/> that have a size and no address, and one for those of its VFs.</summary>
    internal static void Check(HostFunction function, HostFunction? parent, List<HostFinding> findings)
    {
        // Bridges of all kinds have registers for the firmware's eyes that kernels leave alone; a VF's lie where its PF's say.
        if (function.Identity.ClassCode >> 16 != BridgeClass && !function.IsVirtualFunction)
        {
            CheckBars(function, parent, findings);
        }

        if (function.Sriov is { TotalVfs: > 0 } sriov)
        {
            CheckVfs(function, sriov, findings);
        }
    }

    private static void CheckBars(HostFunction function, HostFunction? parent, List<HostFinding> findings)
    {
        List<HostBar> lost = [.. function.Bars.Where(static bar => !bar.Assigned && bar.Size != 0 && bar.Kind.IsMemory())];
        if (lost.Count == 0)
        {
            return;
        }

        string names = string.Join(" and ", lost.Select(static bar => $"{BarKinds.BarName(bar.Index)} ({ByteSize.Format(bar.Size)})"));
        string verb = lost.Count == 1 ? "has" : "have";
        findings.Add(new HostFinding(
            HostFindingSeverity.Warning,
            HostFindingKind.NoAddress,
            function.Address,
            $"{names} of {function.Address} {verb} no address{Reason(lost, parent)}"));
    }

    private static string Reason(List<HostBar> lost, HostFunction? parent)
    {
        if (parent is not { HeaderType: 1, Bridge: { Subtractive: false } bridge })
        {
            return ": the host's firmware and kernel found no room for them";
        }

        // A prefetchable BAR may use either window, another one only the one below 4 GiB.
        ulong need = lost.Where(static bar => bar.Kind.IsPrefetchable()).Aggregate(0UL, static (sum, bar) => sum + bar.Size);
        bool prefetchable = need != 0;
        AddressRange? window = prefetchable ? bridge.Prefetchable ?? bridge.Memory : bridge.Memory;
        string kind = prefetchable ? "prefetchable window" : "memory window";
        ulong wanted = prefetchable ? need : lost.Aggregate(0UL, static (sum, bar) => sum + bar.Size);
        return window is not { } range ? $": the {kind} of {parent.Address} above is closed, and they need {ByteSize.Format(wanted)} there"
            : range.Size < wanted || !Holds(range, lost.Max(static bar => bar.Size))
                ? $": the {kind} of {parent.Address} above holds {ByteSize.Format(range.Size)}, and they need {ByteSize.Format(wanted)} there"
                : $", although the {kind} of {parent.Address} above holds {ByteSize.Format(range.Size)}";
    }

    /// <summary>True when an aligned BAR of <paramref name="size"/> bytes fits into <paramref name="window"/>.</summary>
    private static bool Holds(AddressRange window, ulong size)
    {
        ulong start = (window.Start.Value + size - 1) & ~(size - 1);
        return start >= window.Start.Value && window.Last.Value - start >= size - 1 && start <= window.Last.Value;
    }

    private static void CheckVfs(HostFunction function, HostSriov sriov, List<HostFinding> findings)
    {
        List<HostVfBar> lost = [.. sriov.VfBars.Where(static bar => bar.Address is null)];
        if (lost.Count == 0)
        {
            return;
        }

        UInt128 all = lost.Aggregate(UInt128.Zero, (sum, bar) => sum + (UInt128)bar.Size * (uint)sriov.TotalVfs);
        ulong bytes = (ulong)UInt128.Min(all, ulong.MaxValue);
        string room = bytes == 0 ? "" : $" ({ByteSize.Format(bytes)} in all for {sriov.TotalVfs} VFs)";
        bool wide = lost.TrueForAll(static bar => bar.Kind.Is64Bit());
        string below = bytes == 0 ? "" : $"a window of {ByteSize.Format(Up(bytes))} below 4 GiB";
        string need = wide ? $"a 64-bit window{(bytes is 0 or > uint.MaxValue ? "" : $", or {below}")}" : bytes == 0 ? "a window below 4 GiB" : below;
        findings.Add(new HostFinding(
            HostFindingSeverity.Warning,
            HostFindingKind.NoAddress,
            function.Address,
            $"SR-IOV of {function.Address} cannot be turned on, because its VF BARs {string.Join(", ", lost.Select(static bar => $"{bar.Index}"))}{room} have "
                + $"no address; they need {need}"));
    }

    private static ulong Up(ulong bytes) => bytes > 1UL << 63 ? bytes : BitOperations.RoundUpToPowerOf2(bytes);
}
