using System.Diagnostics;
using System.Globalization;
using System.Numerics;
using Aperture;
using Aperture.Host;
using Aperture.Host.Model;
using Aperture.Mirror;
using Aperture.Pci;
using Aperture.Placement;
using Aperture.Placement.Map;
using Aperture.Placement.Platforms;
using Aperture.Placement.Request;

// Times the solver: synthetic machines of growing size with the fitted exponent of the growth, machines near the limit, then every captured host
// named on the command line, mirrored whole. Prints a Markdown table. Times are the best of several runs after one that compiles the code.
const int FunctionsPerBus = 256;
const int BusesPerSegment = 200;
const int BarsPerFunction = 6;
const int Runs = 5;
const int FunctionsOnOneBus = 237;

int[] sizes = [1_000, 3_200, 10_000, 32_000, 100_000];
List<(double Count, double Seconds)> points = [];
Time(Synthetic(sizes[0]));
Console.WriteLine("| What | Functions | Time, ms | Allocated a BAR, bytes |");
Console.WriteLine("|---|---|---|---|");
foreach (int size in sizes)
{
    (double seconds, long bytes) = Time(Synthetic(size));
    points.Add((size, seconds));
    Row($"synthetic, {BarsPerFunction} BARs a function", size, seconds, bytes / ((long)size * BarsPerFunction));
}

NearTheLimit();
foreach (string path in args)
{
    HostMachine host = HostReader.Read(path);
    MirrorPlan plan = HostMirror.Plan(host, MirrorSelection.All, Guest([]));
    (double seconds, long bytes) = Time(plan.Request);
    Row(Path.GetFileName(path), host.Functions.Length, seconds, bytes / Math.Max(1, plan.Bars.Count));
}

Console.WriteLine();
Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"Time grows with the number of functions to the power {Exponent(points):F2}."));

static void Row(string what, int functions, double seconds, long bytes) =>
    Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"| {what} | {functions} | {seconds * 1000:F1} | {bytes} |"));

// Switches whose BARs ask for about as much as 8 GiB of addresses leave beside RAM: the search has most to do where room is just enough or just too little.
static void NearTheLimit()
{
    const int Devices = 112;
    foreach (bool switches in (bool[])[true, false])
    {
        foreach (int percent in (int[])[95, 99, 100, 101, 105])
        {
            (double slowest, long bytes, int found, int proven) = (0, 0, 0, 0);
            for (int seed = 0; seed < 8; seed++)
            {
                (double seconds, long allocated, PlacementResult result) = TimeOnce(switches ? Tight(seed, Devices, percent) : TightBus(seed, percent));
                slowest = Math.Max(slowest, seconds);
                bytes = Math.Max(bytes, allocated / Devices);
                found += result.Map is null ? 0 : 1;
                proven += result.Conflicts.Any(conflict => conflict.Kind == PlacementConflictKind.NoSpace) ? 1 : 0;
            }

            string where = switches ? "behind switches" : "on one bus";
            Row($"near the limit {where}, {percent}% asked: {found} of 8 found, {proven} proven impossible, the slowest",
                switches ? 2 * Devices + 14 : FunctionsOnOneBus, slowest, bytes);
        }
    }
}

static PlacementRequest TightBus(int seed, int percent)
{
    Random random = new(seed);
    const ulong M = 1UL << 20;
    PlatformLimits platform = PlatformLimits.Q35((3000UL + (ulong)random.Next(2000)) * M, 33);
    ulong left = ((8UL << 30) - platform.RamSize - (276 * M)) / 100 * (ulong)percent;
    List<FunctionDemand> functions = [];
    for (int place = 0; place < FunctionsOnOneBus; place++)
    {
        List<BarDemand> bars = [];
        for (int index = 0; index < BarsPerFunction; index += 2)
        {
            ulong fair = Math.Max(M, left / (ulong)((FunctionsOnOneBus - place) * (BarsPerFunction / 2)));
            ulong size = 1UL << Math.Clamp(BitOperations.Log2(fair) + random.Next(-2, 3), 12, 30);
            left -= Math.Min(left, size);
            bars.Add(new BarDemand(index, random.Next(4) == 0 ? BarKind.Memory32 : BarKind.Memory64Prefetchable, size));
        }

        functions.Add(new FunctionDemand($"f{place}", (byte)(place + 8), bars));
    }

    return new PlacementRequest(platform, [new HostBridgeDemand("pcie.0", functions)]);
}

static PlacementRequest Tight(int seed, int devices, int percent)
{
    Random random = new(seed);
    const ulong M = 1UL << 20;
    PlatformLimits platform = PlatformLimits.Q35((3000UL + (ulong)random.Next(2000)) * M, 33);
    ulong left = ((8UL << 30) - platform.RamSize - (276 * M)) / 100 * (ulong)percent;
    List<FunctionDemand>[] switches = [.. Enumerable.Range(0, 7).Select(_ => new List<FunctionDemand>())];
    for (int device = 0; device < devices; device++)
    {
        ulong fair = Math.Max(M, left / (ulong)(devices - device));
        ulong size = 1UL << Math.Clamp(BitOperations.Log2(fair) + random.Next(-3, 3), 20, 30);
        size = size <= left ? size : M;
        left -= Math.Min(left, size);
        BarKind kind = random.Next(4) == 0 ? BarKind.Memory32 : BarKind.Memory64Prefetchable;
        List<FunctionDemand> bus = switches[device % switches.Length];
        FunctionDemand leaf = new($"d{device}", 0, [new BarDemand(0, kind, size)]);
        bus.Add(new FunctionDemand($"p{device}", (byte)(bus.Count << 3), []) { Bridge = new BridgeDemand([leaf]) });
    }

    return new PlacementRequest(platform, [new HostBridgeDemand("pcie.0", [.. switches.Select((ports, index) =>
        new FunctionDemand($"rp{index}", (byte)((index + 1) << 3), [])
        {
            Bridge = new BridgeDemand([new FunctionDemand($"up{index}", 0, []) { Bridge = new BridgeDemand(ports) }]),
        })])]);
}

static PlacementRequest Guest(IReadOnlyList<HostBridgeDemand> bridges) =>
    new(PlatformLimits.Q35(4UL << 30, 46), bridges.Count > 0 ? bridges : [new HostBridgeDemand("pcie.0", [])]);

// Bridges on the root bus of each segment, as many functions behind each as a bus can hold.
static PlacementRequest Synthetic(int functions)
{
    List<HostBridgeDemand> segments = [];
    for (int done = 0; done < functions;)
    {
        List<FunctionDemand> bridges = [];
        for (; bridges.Count < BusesPerSegment && done < functions;)
        {
            int count = Math.Min(FunctionsPerBus, functions - done);
            FunctionDemand[] behind = [.. Enumerable.Range(0, count).Select(i => Function($"f{done + i}", i))];
            bridges.Add(new FunctionDemand($"b{segments.Count}.{bridges.Count}", (byte)bridges.Count, []) { Bridge = new BridgeDemand(behind) });
            done += count;
        }

        segments.Add(new HostBridgeDemand($"pcie.{segments.Count}", bridges) { Segment = (uint)segments.Count });
    }

    return Guest(segments);
}

static FunctionDemand Function(string name, int place) => new(
    name, (byte)place, [.. Enumerable.Range(0, BarsPerFunction).Select(bar => new BarDemand(bar, BarKind.Memory32, 128UL << ((place + bar) % 4)))]);

static (double Seconds, long Bytes) Time(PlacementRequest request)
{
    double best = double.MaxValue;
    long bytes = 0;
    for (int run = 0; run < Runs; run++)
    {
        (double seconds, bytes, PlacementResult result) = TimeOnce(request);
        best = Math.Min(best, seconds);
        if (result.Map is null && result.Conflicts[0].Kind is PlacementConflictKind.BadDemand or PlacementConflictKind.Unsupported)
        {
            throw new ApertureException($"the benchmark's request is refused: {result.Conflicts[0].Sentence}");
        }
    }

    return (best, bytes);
}

static (double Seconds, long Bytes, PlacementResult Result) TimeOnce(PlacementRequest request)
{
    long before = GC.GetAllocatedBytesForCurrentThread();
    long start = Stopwatch.GetTimestamp();
    PlacementResult result = PlacementSolver.Solve(request);
    return (Stopwatch.GetElapsedTime(start).TotalSeconds, GC.GetAllocatedBytesForCurrentThread() - before, result);
}

// The slope of the least-squares line through the logarithms.
static double Exponent(List<(double Count, double Seconds)> points)
{
    double meanX = points.Average(p => Math.Log(p.Count));
    double meanY = points.Average(p => Math.Log(p.Seconds));
    return points.Sum(p => (Math.Log(p.Count) - meanX) * (Math.Log(p.Seconds) - meanY)) / points.Sum(p => Math.Pow(Math.Log(p.Count) - meanX, 2));
}
