using System.Numerics;
using Aperture.Host.Model;
using Aperture.Placement.Platforms;
using Aperture.Placement.Request;

namespace Aperture.Mirror;

/// <summary>How many physical address bits a guest needs in which everything of a host has its address and the guest's own things have room.</summary>
internal static class AddressWidth
{
    /// <summary>For the host's addresses and RAM alone.</summary>
    public static int Of(HostMachine host, ulong ramSize)
    {
        ArgumentNullException.ThrowIfNull(host);
        return Bits(LastOf(host, ramSize));
    }

    /// <summary>
    /// For all that <paramref name="guest"/> asks for besides: its pins and windows are addresses like the host's; what has no address yet fits behind
    /// everything that has one, since twice the sum of power-of-two sizes holds them in any tree of bridges.
    /// </summary>
    public static int Of(HostMachine host, PlacementRequest guest)
    {
        ArgumentNullException.ThrowIfNull(host);
        ArgumentNullException.ThrowIfNull(guest);
        UInt128 last = LastOf(host, guest.Platform.RamSize);
        UInt128 sum = 0;
        foreach (AddressRange range in new[] { guest.Platform.Mmio32Window, guest.Platform.Mmio64Window }.OfType<AddressRange>())
        {
            last = UInt128.Max(last, range.Last.Value);
        }

        Stack<FunctionDemand> open = new(guest.HostBridges.SelectMany(bridge => bridge.Functions));
        while (open.TryPop(out FunctionDemand? function))
        {
            foreach (BarDemand bar in function.Bars.Where(bar => bar.Kind != Pci.BarKind.Io))
            {
                UInt128 size = (UInt128)bar.Size * (bar.Index >= BarIndex.Vf0 ? function.Sriov?.TotalVfs ?? 1u : 1u);
                last = bar.Pin is { } pin ? UInt128.Max(last, pin.Value + size - 1) : last;
                sum += bar.Pin is null ? size : 0;
            }

            if (function.Bridge is { } below)
            {
                last = new[] { below.MemoryWindow, below.PrefetchableWindow }.OfType<AddressRange>()
                    .Aggregate(last, (so, range) => UInt128.Max(so, range.Last.Value));
                sum += (UInt128)(below.Reserve?.Memory ?? 0) + (below.Reserve?.Prefetchable ?? 0);
                below.Functions.ToList().ForEach(open.Push);
            }
        }

        // What small things need fits below 4 GiB, as everywhere; without anything large the host alone decides.
        bool small = sum <= 1UL << 30;
        return Bits((ulong)UInt128.Min(small ? last : Up(last + 1, sum) + 2 * sum, ulong.MaxValue));
    }

    private static UInt128 Up(UInt128 value, UInt128 size)
    {
        UInt128 granule = (UInt128)1 << (128 - (int)UInt128.LeadingZeroCount(size));
        return (value + granule - 1) & ~(granule - 1);
    }

    private static ulong LastOf(HostMachine host, ulong ramSize)
    {
        ulong last = Math.Max(PlatformLimits.FourGiB, ramSize < 1UL << 60 ? 2 * ramSize : ramSize) + PlatformLimits.FourGiB;
        foreach (HostFunction function in host.Functions)
        {
            IEnumerable<AddressRange?> ranges = function.AllBars.Select(bar => bar.Range).Append(function.Bridge?.Memory).Append(function.Bridge?.Prefetchable);
            foreach (AddressRange range in ranges.OfType<AddressRange>())
            {
                last = Math.Max(last, range.Last.Value);
            }

            foreach (HostVfBar bar in function.Sriov?.VfBars ?? [])
            {
                UInt128 end = (UInt128)(bar.Address?.Value ?? 0) + (UInt128)bar.Size * (uint)function.Sriov!.TotalVfs;
                last = Math.Max(last, (ulong)UInt128.Min(end, ulong.MaxValue));
            }
        }

        return last;
    }

    private static int Bits(ulong last) => Math.Min(64 - BitOperations.LeadingZeroCount(last), PlatformLimits.MaxAddressBits);
}
