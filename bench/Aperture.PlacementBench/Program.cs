using System.Diagnostics;
using System.Globalization;
using Aperture;
using Aperture.Host;
using Aperture.Host.Model;
using Aperture.Mirror;
using Aperture.Pci;
using Aperture.Placement;
using Aperture.Placement.Map;
using Aperture.Placement.Platforms;
using Aperture.Placement.Reasons;
using Aperture.Placement.Request;

// Times the solver: synthetic machines of growing size with the fitted exponent of the growth, then every captured host named on
// the command line, mirrored whole. Prints a Markdown table. Times are the best of several runs after one that compiles the code.
const int FunctionsPerBus = 256;
const int BusesPerSegment = 200;
const int BarsPerFunction = 6;
const int Runs = 5;

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
        long before = GC.GetAllocatedBytesForCurrentThread();
        long start = Stopwatch.GetTimestamp();
        PlacementResult result = PlacementSolver.Solve(request);
        best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalSeconds);
        bytes = GC.GetAllocatedBytesForCurrentThread() - before;
        if (result.Map is null && result.Conflicts[0].Kind is PlacementConflictKind.BadDemand or PlacementConflictKind.Unsupported)
        {
            throw new ApertureException($"the benchmark's request is refused: {result.Conflicts[0].Sentence}");
        }
    }

    return (best, bytes);
}

// The slope of the least-squares line through the logarithms.
static double Exponent(List<(double Count, double Seconds)> points)
{
    double meanX = points.Average(p => Math.Log(p.Count));
    double meanY = points.Average(p => Math.Log(p.Seconds));
    return points.Sum(p => (Math.Log(p.Count) - meanX) * (Math.Log(p.Seconds) - meanY)) / points.Sum(p => Math.Pow(Math.Log(p.Count) - meanX, 2));
}
