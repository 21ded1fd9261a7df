using System.Numerics;
using Aperture.Pci;
using Aperture.Placement.Map;
using Aperture.Placement.Request;

namespace Aperture.Emission;

/// <summary>One BAR of an emulated device.</summary>
internal readonly record struct QemuBar(int Index, BarKind Kind, ulong Size);

/// <summary>A device that QEMU emulates, chosen because its BARs are like a planned function's. BARs as QEMU 7.2 shows them over QMP.</summary>
/// <param name="Driver">The driver with the properties that size its BARs, as after <c>-device</c>.</param>
/// <param name="Bars">Its BARs.</param>
internal sealed record QemuDevice(string Driver, params QemuBar[] Bars)
{
    private const ulong K = 1UL << 10;
    private const ulong M = 1UL << 20;

    // vgamem of bochs-display: 4 MiB to 256 MiB.
    private const ulong LeastFrameBuffer = 4 * M;
    private const ulong MostFrameBuffer = 256 * M;

    private static readonly QemuDevice[] Fixed =
    [
        new("pci-testdev", new(0, BarKind.Memory32, 4 * K), new(1, BarKind.Io, 256)),
        new("edu", new QemuBar(0, BarKind.Memory32, M)),
        new("usb-ehci", new QemuBar(0, BarKind.Memory32, 4 * K)),
        new("intel-hda", new QemuBar(0, BarKind.Memory32, 16 * K)),
        new("pvscsi", new QemuBar(0, BarKind.Memory32, 32 * K)),
        new("sdhci-pci", new QemuBar(0, BarKind.Memory32, 256)),
        new("i6300esb", new QemuBar(0, BarKind.Memory32, 16)),
        new("qemu-xhci", new QemuBar(0, BarKind.Memory64, 16 * K)),
        new("pci-serial", new QemuBar(0, BarKind.Io, 8)),
        new("pci-serial-2x", new QemuBar(0, BarKind.Io, 16)),
        new("pci-serial-4x", new QemuBar(0, BarKind.Io, 32)),
        new("am53c974", new QemuBar(0, BarKind.Io, 128)),
        new("ahci", new(4, BarKind.Io, 32), new(5, BarKind.Memory32, 4 * K)),
        new(
            "tpci200",
            new(0, BarKind.Memory32, 128),
            new(1, BarKind.Io, 128),
            new(2, BarKind.Memory32, 256),
            new(3, BarKind.Memory32, K),
            new(4, BarKind.Memory32, 32 * M),
            new(5, BarKind.Memory32, 16 * M)),
    ];

    /// <summary>The size of the RAM behind BAR 2, when the device needs a memory object for it.</summary>
    public ulong? SharedMemory { get; init; }

    /// <summary>The device whose BARs are most like those of <paramref name="function"/>, or null when QEMU has none with even one of them.</summary>
    public static QemuDevice? Like(FunctionPlacement function)
    {
        QemuDevice? best = null;
        int bestScore = 0;
        foreach (QemuDevice candidate in Sized(function).Concat(Fixed))
        {
            int score = candidate.Score(function);
            if (score > bestScore)
            {
                (best, bestScore) = (candidate, score);
            }
        }

        return best;
    }

    /// <summary>Which of this device's BARs stands for each of the function's: pairs by index first, then by kind and size alone.</summary>
    public Dictionary<int, QemuBar> Match(FunctionPlacement function)
    {
        List<QemuBar> free = [.. Bars];
        Dictionary<int, QemuBar> pairs = [];
        foreach (bool sameIndex in new[] { true, false })
        {
            foreach (BarPlacement bar in function.Bars.Where(bar => !BarIndex.IsVf(bar.Demand.Index) && !pairs.ContainsKey(bar.Demand.Index)))
            {
                int found = free.FindIndex(mine => mine.Kind == bar.Demand.Kind && mine.Size == bar.Size && (!sameIndex || mine.Index == bar.Demand.Index));
                if (found >= 0)
                {
                    pairs.Add(bar.Demand.Index, free[found]);
                    free.RemoveAt(found);
                }
            }
        }

        return pairs;
    }

    private static IEnumerable<QemuDevice> Sized(FunctionPlacement function)
    {
        foreach (BarPlacement bar in function.Bars)
        {
            ulong size = bar.Size;
            if (bar.Demand.Kind == BarKind.Memory64Prefetchable && size >= 4 * K && !BarIndex.IsVf(bar.Demand.Index))
            {
                yield return new($"pci-testdev,membar={ByteSize.Format(size)}", new(0, BarKind.Memory32, 4 * K), new(1, BarKind.Io, 256),
                    new(2, BarKind.Memory64Prefetchable, size));
                yield return new("ivshmem-plain", new(0, BarKind.Memory32, 256), new(2, BarKind.Memory64Prefetchable, size)) { SharedMemory = size };
            }
            else if (bar.Demand.Kind == BarKind.Memory32Prefetchable && size is >= LeastFrameBuffer and <= MostFrameBuffer)
            {
                yield return new($"bochs-display,rombar=0,vgamem={ByteSize.Format(size)}", new(0, BarKind.Memory32Prefetchable, size),
                    new(2, BarKind.Memory32, 4 * K));
            }
        }
    }

    // Large BARs matter most: they decide whether windows fit. An extra BAR costs less than any match gains.
    private int Score(FunctionPlacement function)
    {
        Dictionary<int, QemuBar> pairs = Match(function);
        int score = pairs.Sum(pair => 64 + BitOperations.Log2(pair.Value.Size) + (pair.Key == pair.Value.Index ? 8 : 0));

        // Memory that nothing backs is cheaper than guest memory that the host must lend.
        return score == 0 ? 0 : score - ((Bars.Length - pairs.Count) * 2) - (SharedMemory is null ? 0 : 8);
    }
}
