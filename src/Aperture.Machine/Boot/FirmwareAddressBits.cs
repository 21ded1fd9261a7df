using Aperture.Board.Pc;
using Aperture.Configuration;
using Aperture.Firmware.Uefi;
using Aperture.Host.Model;
using Aperture.Machine.Topology;
using Aperture.Pci;
using Aperture.Placement.Request;

namespace Aperture.Machine.Boot;

/// <summary>
/// How many physical address bits a guest gets whose firmware pays for each of them. UEFI that begins in 32-bit code (OVMF's Ia32X64 builds, such as
/// Debian 12's OVMF_CODE_4M.fd) maps all that its processor can address by pages of 2 MiB: 4 KiB of tables for each GiB, half a GiB at 47 bits, which hangs
/// where RAM is short. Builds that begin in 64-bit code use pages of 1 GiB.
/// </summary>
public static class FirmwareAddressBits
{
    // From here on OVMF believes the number on every processor, and puts 64-bit BARs into the highest eighth of what it covers.
    private const int Fewest = 41;
    private const int WindowShift = 3;

    /// <summary>
    /// The most bits to show the guest: what the user asked for, or where its firmware pays for bits as few as the plan and the firmware's window need. Null
    /// leaves it at <paramref name="host"/>.
    /// </summary>
    /// <param name="config">The machine.</param>
    /// <param name="host">The bits that this host has.</param>
    /// <exception cref="ApertureException">The configuration contradicts itself, or the host lacks a device that it names.</exception>
    public static int? Most(MachineConfig config, int host)
    {
        ArgumentNullException.ThrowIfNull(config);

        // A mirrored machine lies at the host's addresses, which say themselves how many it needs.
        if (config.PhysicalAddressBits is not null || config.Mirror is not null || !MapsInSmallPages(config.Firmware))
        {
            return config.PhysicalAddressBits;
        }

        HostMachine? machine = config.Assigns ? MachineTopology.HostOf(config) : null;
        for (int bits = Fewest; bits < host; bits++)
        {
            MachineTopology topology = MachineTopology.Of(config, Hypervisors.LimitsOf(config, bits), machine);
            if (topology.Result.Map is not null && HighDemand(topology.Request) <= 1UL << (bits - WindowShift - 1))
            {
                return bits;
            }
        }

        return null;
    }

    // A file that is no image, or cannot be read, is told of where it is loaded.
    private static bool MapsInSmallPages(string? path)
    {
        try
        {
            return path is not null && SecurityCore.MachineOf(FirmwareImage.Read(path)) == SecurityCore.Ia32;
        }
        catch (ApertureException)
        {
            return false;
        }
    }

    // What the firmware's 64-bit window has to hold; alignment takes at most as much again.
    private static UInt128 HighDemand(PlacementRequest request)
    {
        UInt128 sum = 0;
        Stack<FunctionDemand> open = new(request.HostBridges.SelectMany(bridge => bridge.Functions));
        while (open.TryPop(out FunctionDemand? function))
        {
            foreach (BarDemand bar in function.Bars.Where(bar => bar.Kind.Is64Bit()))
            {
                sum += (UInt128)bar.Size * (bar.Index >= BarIndex.Vf0 ? function.Sriov?.TotalVfs ?? 1u : 1u);
            }

            if (function.Bridge is { } below)
            {
                sum += below.Reserve?.Prefetchable ?? 0;
                below.Functions.ToList().ForEach(open.Push);
            }
        }

        return sum;
    }
}
