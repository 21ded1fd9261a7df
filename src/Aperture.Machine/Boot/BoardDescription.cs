using Aperture.Board;
using Aperture.Board.Pc;
using Aperture.Configuration;
using Aperture.Configuration.Kinds;
using Aperture.Devices.Pc;
using Aperture.Firmware.Platform;
using Aperture.Pci;
using Aperture.Pci.Ports;
using Aperture.Pci.Registers;
using Aperture.Placement;
using Aperture.Placement.Map;
using Aperture.Placement.Platforms;

namespace Aperture.Machine.Boot;

/// <summary>A board as its registers stand, in the terms of the tables that tell the guest of it.</summary>
internal static class BoardDescription
{
    private const ulong Granule = 1UL << 20;

    // The 64-bit window is told in whole GiB, so that a guest may move BARs a little.
    private const ulong HighGranule = 1UL << 30;

    /// <summary>What does not depend on the registers.</summary>
    private static PlatformDescription Of(MachineConfig config, IReadOnlyList<AddressRange> ram, HostBridgeWindows windows) => new()
    {
        Board = config.Board,
        ApicIds = [.. Enumerable.Range(0, config.Cpus).Select(i => (uint)i)],
        Ram = ram,
        HostBridge = windows,
        InterruptRoutes = Chipsets.InterruptRoutes(config.Board),
        SoftOffSleepType = AcpiPmBlock.SoftOffSleepType,
        Hpet = new HpetDescription(new AddressRange(new GuestAddress(Hpet.DefaultAddress), Hpet.Length), Hpet.BlockId, Hpet.ShortestPeriod),
        HasVga = config.Devices.Any(d => d is VgaSpec),
    };

    /// <summary>The board as <paramref name="map"/> has it programmed: under direct boot, and once the operating system takes over from firmware.</summary>
    /// <param name="config">What the user asked for.</param>
    /// <param name="ram">Where RAM shows.</param>
    /// <param name="map">The plan.</param>
    public static PlatformDescription Planned(MachineConfig config, IReadOnlyList<AddressRange> ram, PlacementMap map)
    {
        HostBridgePlacement bridge = map.HostBridges[0];

        // Linux looks for devices on every bus that MCFG covers, in 64 exits each: so only those that the tree has or keeps for later.
        byte lastBus = map.Functions.Select(static f => f.Bridge?.Subordinate ?? f.Address.Bus).Append(bridge.FirstBus).Max();
        HostBridgeWindows windows = new(bridge.FirstBus, lastBus, HostBridgeWindows.StandardIo, bridge.Mmio32Windows, bridge.Mmio64Windows);
        return Of(config, ram, windows) with
        {
            Ecam = map.Ecam is { } ecam ? new EcamRegion(new AddressRange(ecam.Start, (lastBus + 1UL) << 20), (ushort)bridge.Segment, 0, lastBus) : null,
        };
    }

    /// <summary>
    /// The board as the operating system will find it under firmware: as <paramref name="map"/> has it where <paramref name="takesPlan"/> says that the
    /// handover puts it so, else as firmware has programmed it. Any thread.
    /// </summary>
    public static PlatformDescription UnderFirmware(MachineConfig config, PcBoard pc, PlacementMap map, bool takesPlan)
    {
        lock (pc.Board.Pci.Sync)
        {
            PlatformDescription platform = takesPlan ? Planned(config, pc.Board.Ram, map) : Programmed(config, pc, map);
            return platform with { Pm = pc.PmPorts is { } ports ? PmOf(ports) : PmBlocks.Ich9, Handover = pc.HandoverPorts };
        }
    }

    /// <summary>
    /// The board as firmware has programmed it; <paramref name="map"/> has the 64-bit windows that it gets in any case.
    /// </summary>
    private static PlatformDescription Programmed(MachineConfig config, PcBoard pc, PlacementMap map)
    {
        PciBoard board = pc.Board;
        AddressRange? ecam = board.Chipset.Ecam;
        byte lastBus = ecam is { } window ? (byte)((window.Size >> 20) - 1) : byte.MaxValue;
        HostBridgeWindows windows = new(0, lastBus, HostBridgeWindows.StandardIo, Low(board, ecam), High(pc, map));
        PlatformDescription platform = Of(config, board.Ram, windows);
        return platform with { Ecam = ecam is { } range ? new EcamRegion(range, 0, 0, lastBus) : null };
    }

    private static PmBlocks PmOf(AddressRange ports)
    {
        ushort first = (ushort)ports.Start.Value;
        return new PmBlocks(first, (ushort)(first + AcpiPmBlock.Gpe0Offset), (byte)AcpiPmBlock.Gpe0Length, (ushort)ports.Size);
    }

    // From the end of low RAM to the I/O APIC, without the ECAM window.
    private static List<AddressRange> Low(PciBoard board, AddressRange? ecam)
    {
        ulong start = board.Ram.Where(r => r.Start.Value < PlatformLimits.FourGiB).Max(r => r.Last.Value) + 1;
        List<AddressRange> windows = [];
        AddUpTo(windows, ref start, ecam is { } low && low.Start.Value < 0xFEC0_0000 ? low.Start.Value : 0xFEC0_0000);
        if (ecam is { } window && window.Start.Value < 0xFEC0_0000)
        {
            start = Math.Max(start, window.Last.Value + 1);
            AddUpTo(windows, ref start, 0xFEC0_0000);
        }

        return windows;
    }

    private static void AddUpTo(List<AddressRange> windows, ref ulong start, ulong end)
    {
        start = (start + Granule - 1) & ~(Granule - 1);
        if (start < end)
        {
            windows.Add(AddressRange.FromBounds(new GuestAddress(start), new GuestAddress(end - 1)));
        }
    }

    // Around everything that firmware put above 4 GiB, BARs and bridge windows alike, joined with the plan's windows: what lost its place to a pin needs room
    // that no BAR decodes yet. Only what the host bridge forwards, and nothing that wins over BARs.
    private static IReadOnlyList<AddressRange> High(PcBoard pc, PlacementMap map)
    {
        PciBoard board = pc.Board;
        ulong ramEnd = board.Ram.Max(r => r.Last.Value) + 1;
        ulong floor = Math.Max(PlatformLimits.FourGiB, ramEnd);
        ulong first = ulong.MaxValue;
        ulong last = 0;
        foreach (AddressRange range in HighRanges(board).Where(r => r.Start.Value >= floor))
        {
            first = Math.Min(first, range.Start.Value);
            last = Math.Max(last, range.Last.Value);
        }

        List<AddressRange> windows = [.. map.HostBridges[0].Mmio64Windows];
        if (first <= last)
        {
            windows.Add(AddressRange.FromBounds(new GuestAddress(first & ~(HighGranule - 1)), new GuestAddress(last | (HighGranule - 1))));
        }

        AddressRange above = AddressRange.FromBounds(new GuestAddress(floor), new GuestAddress(ulong.MaxValue));
        DecodeLimits limits = pc.DecodeLimits;
        IEnumerable<AddressRange> forwarded = windows.SelectMany(window => limits.MemoryWindows.Select(window.Intersect)).Select(above.Intersect);
        return new FreeRanges(forwarded, limits.ReservedMemory.Select(r => r.Range)).Ranges;
    }

    private static IEnumerable<AddressRange> HighRanges(PciBoard board)
    {
        foreach (DecodedBar bar in board.Decode.Memory)
        {
            yield return bar.Range;
        }

        foreach (PciBridge bridge in board.Pci.Functions.OfType<PciBridge>())
        {
            if (bridge.Window(BridgeWindow.Prefetchable) is { } window && (bridge.Command & PciCommand.MemorySpace) != 0)
            {
                yield return window;
            }
        }
    }
}
