using System.Diagnostics;
using System.Globalization;
using Aperture.MoveBench;

// What a BAR's move costs beside many other BARs that decode, and what it costs to enable them all; with the exponents of the growth. Prints a Markdown table.
// Times are the best of several runs after some that compile the code: the program's own work, no hypervisor.
const int Runs = 9;
const ulong Low = 0x20_0000_0000;
const ulong High = 0x20_1000_0000;

int[] sizes = [10, 1_000, 10_000];
List<(double Bars, double Move, double All)> points = [];
Measure(1_000, 2_000);
Console.WriteLine("| Other BARs | A move, us | Allocated a move, bytes | of it the two views | Enabling all, ms |");
Console.WriteLine("|---|---|---|---|---|");
foreach (int size in sizes)
{
    (double move, long bytes, long views, double all) = Measure(size, 1_000);
    points.Add((size, move, all));
    Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"| {size} | {move * 1e6:F1} | {bytes} | {views} | {all * 1e3:F2} |"));
}

Console.WriteLine();
Console.WriteLine(string.Create(
    CultureInfo.InvariantCulture,
    $"From {points[1].Bars} to {points[2].Bars} BARs a move grows to the power {Exponent(p => p.Move):F2}, "
        + $"enabling all to the power {Exponent(p => p.All):F2}."));

double Exponent(Func<(double Bars, double Move, double All), double> seconds) =>
    Math.Log(seconds(points[2]) / seconds(points[1])) / Math.Log(points[2].Bars / points[1].Bars);

static (double Move, long Bytes, long Views, double All) Measure(int bars, int moves)
{
    using BenchBoard board = new(bars);
    long start = Stopwatch.GetTimestamp();
    board.EnableAll();
    double all = Stopwatch.GetElapsedTime(start).TotalSeconds;
    double best = double.MaxValue;
    long bytes = long.MaxValue;
    for (int run = 0; run < Runs; run++)
    {
        long before = GC.GetAllocatedBytesForCurrentThread();
        start = Stopwatch.GetTimestamp();
        for (int i = 0; i < moves; i++)
        {
            board.Move((i & 1) == 0 ? Low : High);
        }

        best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalSeconds / moves);
        bytes = Math.Min(bytes, (GC.GetAllocatedBytesForCurrentThread() - before) / moves);
    }

    // A move publishes two: without the BAR, and with it at its new place.
    long runs = board.Board.Memory.View.Ranges.Length;
    return (best, bytes, 32 * ((2 * runs) - 1), all);
}
