using Aperture.Firmware.Platform;
using Aperture.Placement.Map;
using Aperture.Placement.Platforms;

namespace Aperture.Board.Virt;

/// <summary>What a machine of Arm's kind has by its hypervisor, for the guest to be told.</summary>
/// <param name="Affinities">Each processor's affinity, boot processor first.</param>
/// <param name="HasIts">Message interrupts are translated.</param>
/// <param name="HasPmu">Processors have performance monitors.</param>
public sealed record VirtProcessors(IReadOnlyList<ulong> Affinities, bool HasIts, bool HasPmu);

/// <summary>The board in the terms of what tells the guest of it.</summary>
public static class VirtTelling
{
    private const int FirstRedistributors = 123;

    /// <summary>The most processors that there are redistributors for.</summary>
    public const int MostProcessors = 512;

    /// <summary>The board that is planned as <paramref name="map"/>.</summary>
    /// <param name="map">The plan.</param>
    /// <param name="processors">What the hypervisor gives it.</param>
    public static VirtDescription Planned(PlacementMap map, VirtProcessors processors)
    {
        ArgumentNullException.ThrowIfNull(map);
        ArgumentNullException.ThrowIfNull(processors);
        return new VirtDescription
        {
            Affinities = processors.Affinities,
            Ram = [.. map.Ram.Pieces],
            Gic = new GicFrames(VirtMap.Distributor, Redistributors(processors.Affinities.Count), processors.HasIts ? VirtMap.Its : null),
            Pcie = Pcie(map),
            Uart = new MappedDevice(VirtMap.Uart, VirtMap.UartSpi),
            Rtc = new MappedDevice(VirtMap.Rtc, VirtMap.RtcSpi),
            Gpio = new MappedDevice(VirtMap.Gpio, VirtMap.GpioSpi),
            PowerKeyLine = VirtMap.PowerKeyLine,
            EventDevice = new MappedDevice(VirtMap.EventDevice, VirtMap.EventSpi),
            HasPmu = processors.HasPmu,
        };
    }

    /// <summary>Where the redistributors of <paramref name="count"/> processors are, in the processors' order.</summary>
    /// <exception cref="ApertureException">There are more than <see cref="MostProcessors"/>.</exception>
    public static IReadOnlyList<AddressRange> Redistributors(int count)
    {
        if (count is < 1 or > MostProcessors)
        {
            throw new ApertureException($"--cpus {count} is more than the virt board's interrupt controller has places for; give it 1 to {MostProcessors}.");
        }

        AddressRange first = new(VirtMap.Redistributors.Start, (ulong)Math.Min(count, FirstRedistributors) * VirtMap.RedistributorSize);
        return count <= FirstRedistributors
            ? [first]
            : [first, new AddressRange(VirtMap.MoreRedistributors.Start, (ulong)(count - FirstRedistributors) * VirtMap.RedistributorSize)];
    }

    private static PcieRootDescription Pcie(PlacementMap map)
    {
        HostBridgePlacement bridge = map.HostBridges[0];
        AddressRange ecam = map.Ecam ?? throw new ArgumentException("the map has no ECAM window", nameof(map));

        // An operating system looks for devices on every bus that it is told of, in 64 exits each: so only those that the tree has or keeps for later.
        byte lastBus = map.Functions.Select(static f => f.Bridge?.Subordinate ?? f.Address.Bus).Append(bridge.FirstBus).Max();
        return new PcieRootDescription(
            new EcamRegion(new AddressRange(ecam.Start, (lastBus + 1UL) << 20), (ushort)bridge.Segment, 0, lastBus), VirtMap.Ports, bridge.Mmio32Windows,
            bridge.Mmio64Windows, VirtMap.IntxSpi);
    }
}
