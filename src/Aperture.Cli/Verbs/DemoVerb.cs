using System.Diagnostics;
using System.Text;
using Aperture.Cli.CommandLine;
using Aperture.Cli.Demo;
using Aperture.Lab;
using Aperture.Report;

namespace Aperture.Cli.Verbs;

/// <summary><c>aperture demo</c>: boots Debian's own kernel with pinned BARs and compares three accounts of where they are.</summary>
internal static class DemoVerb
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(4);

    public static Verb Verb { get; } = new(
        "demo",
        "boot Debian's kernel with pinned BARs and show where the guest sees them",
        [
            new("--accel", "auto|kvm|lab", "as for run (default auto)"),
            new("--keep", "DIRECTORY", "leave the guest's serial log and the events there"),
        ],
        "aperture demo",
        Run);

    private static int Run(ParsedArguments arguments)
    {
        LabArtifacts artifacts = LabArtifacts.Locate();
        artifacts.RequireGuest();
        string? keep = arguments.Find("--keep");
        DirectoryInfo folder = keep is null ? Directory.CreateTempSubdirectory("aperture-demo-") : Directory.CreateDirectory(keep);
        try
        {
            string serial = Path.Combine(folder.FullName, "serial.txt");
            string events = Path.Combine(folder.FullName, "events.jsonl");
            IReadOnlyList<string> command = DemoMachine.RunArguments(
                artifacts.GuestKernel, artifacts.GuestInitramfs, serial, events, arguments.Find("--accel") ?? "auto");
            int code = Boot(command, serial);
            int result = Report(code, GuestReport.Read(LinesOf(serial)), EventReport.Read(LinesOf(events)), serial);
            Console.WriteLine();
            return FirmwareDemo.Show(folder) ? result : 1;
        }
        finally
        {
            if (keep is null)
            {
                folder.Delete(recursive: true);
            }
        }
    }

    private static int Boot(IReadOnlyList<string> command, string serial)
    {
        Console.Error.WriteLine($"demo: aperture {string.Join(' ', command.Select(Quoted))}");
        using Process child = new() { StartInfo = new ProcessStartInfo(Environment.ProcessPath!, command) { RedirectStandardInput = true } };
        using ProgressLine progress = new(serial);
        child.Start();
        child.StandardInput.Close();
        if (child.WaitForExit(Limit))
        {
            return child.ExitCode;
        }

        child.Kill(entireProcessTree: true);
        child.WaitForExit();
        throw new ApertureException($"the demo's guest did not end within {Limit.TotalMinutes} minutes; try again, and see docs/lab.md if it repeats.", ApertureException.HostFailure);
    }

    private static int Report(int code, GuestReport guest, EventReport events, string serial)
    {
        if (code != 0 || !guest.IsComplete)
        {
            foreach (string line in LinesOf(serial).TakeLast(12))
            {
                Console.Error.WriteLine($"guest: {line}");
            }

            throw new ApertureException($"the demo's guest did not finish (exit code {code}); its last lines are above.", ApertureException.HostFailure);
        }

        List<DemoRow> rows = [.. DemoMachine.Devices.SelectMany(d => d.Bars.Select(b => DemoRow.Judge(d, b, guest, events)))];
        Console.WriteLine($"Guest kernel: {guest.Kernel}. Every address below is what the guest's own lspci printed.");
        Console.WriteLine();
        Console.Write(Table(rows));
        Console.WriteLine();
        int wrong = rows.Count(r => !r.Agrees);
        foreach (DemoDevice device in DemoMachine.Devices)
        {
            string? interrupt = events.Decoded($"{device.Id}.bar0") is { } place ? guest.Interrupt(place.Bdf) : null;
            Console.WriteLine($"{device.Id}: interrupt {interrupt ?? "not taken"}");
            wrong += interrupt?.EndsWith("ok", StringComparison.Ordinal) == true ? 0 : 1;
        }

        Console.WriteLine($"{rows.Count} BARs; {(wrong == 0 ? "guest and monitor agree on every one" : $"{wrong} WRONG")}; the run ended with {events.End}.");
        return wrong == 0 && events.End == "guest.poweroff" ? 0 : 1;
    }

    private static string Table(List<DemoRow> rows)
    {
        TextTable table = new(DemoRow.Head);
        rows.ForEach(row => table.Add(row.Cells));
        StringBuilder text = new();
        table.Write(text);
        return text.ToString();
    }

    private static string[] LinesOf(string path) => File.Exists(path) ? File.ReadAllLines(path) : [];

    private static string Quoted(string word) => word.Contains(' ', StringComparison.Ordinal) ? $"'{word}'" : word;
}
