using System.Diagnostics;

namespace Aperture.Cli.Demo;

/// <summary>Runs one guest of the demo as a user would: as a process of its own, whose command line is shown.</summary>
internal static class DemoRun
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(4);
    private static readonly TimeSpan Look = TimeSpan.FromMilliseconds(100);

    /// <summary>Runs <c>aperture</c> with <paramref name="command"/> and returns its exit code. What it prints on standard output is dropped.</summary>
    /// <param name="command">The arguments.</param>
    /// <param name="serial">The guest's serial log, from which progress is told; need not exist.</param>
    /// <exception cref="ApertureException">It did not end in time.</exception>
    public static int Boot(IReadOnlyList<string> command, string serial)
    {
        using Process child = Start(command);
        using ProgressLine progress = new(serial);
        if (child.WaitForExit(Limit))
        {
            return child.ExitCode;
        }

        throw TooLong(child);
    }

    /// <summary>The same for a guest that never ends by itself: ends it as soon as its serial log says <paramref name="last"/>.</summary>
    /// <exception cref="ApertureException">It ended before, or did not come that far in time.</exception>
    public static void BootUntil(string last, IReadOnlyList<string> command, string serial)
    {
        using Process child = Start(command);
        Stopwatch running = Stopwatch.StartNew();
        while (!DemoFolder.ReadShared(serial).Contains(last, StringComparison.Ordinal))
        {
            if (child.WaitForExit(Look))
            {
                throw NotFinished(child.ExitCode, DemoFolder.ReadShared(serial).Split('\n'));
            }

            if (running.Elapsed > Limit)
            {
                throw TooLong(child);
            }
        }

        child.Kill(entireProcessTree: true);
        child.WaitForExit();
    }

    private static Process Start(IReadOnlyList<string> command)
    {
        Console.Error.WriteLine($"demo: aperture {string.Join(' ', command.Select(Quoted))}");
        Process child = Process.Start(new ProcessStartInfo(Environment.ProcessPath!, command) { RedirectStandardInput = true })!;
        child.StandardInput.Close();
        return child;
    }

    private static ApertureException TooLong(Process child)
    {
        child.Kill(entireProcessTree: true);
        child.WaitForExit();
        return new ApertureException(
            $"the demo's guest did not end within {Limit.TotalMinutes} minutes; try again, and see docs/lab.md if it repeats.", ApertureException.HostFailure);
    }

    /// <summary>The sentence for a guest that did not finish, after the end of its log.</summary>
    public static ApertureException NotFinished(int code, IEnumerable<string> log)
    {
        foreach (string line in log.TakeLast(12))
        {
            Console.Error.WriteLine($"guest: {line}");
        }

        return new ApertureException($"the demo's guest did not finish (exit code {code}); its last lines are above.", ApertureException.HostFailure);
    }

    private static string Quoted(string word) => word.Contains(' ', StringComparison.Ordinal) ? $"'{word}'" : word;
}
