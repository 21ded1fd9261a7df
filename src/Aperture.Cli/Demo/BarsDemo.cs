using System.Text;
using Aperture.Lab;
using Aperture.Report;

namespace Aperture.Cli.Demo;

/// <summary>Test devices with BARs of every kind, two of them pinned: what was asked, what the guest's lspci sees, what Aperture did.</summary>
internal static class BarsDemo
{
    /// <summary>Boots the guest and prints the comparison; true when all agree.</summary>
    public static bool Run(DemoFolder folder, string accel)
    {
        LabArtifacts artifacts = LabArtifacts.Locate();
        int code = DemoRun.Boot(
            DemoMachine.RunArguments(artifacts.GuestKernel, artifacts.GuestInitramfs, folder.File("serial.txt"), folder.File("events.jsonl"), accel),
            folder.File("serial.txt"));
        GuestReport guest = GuestReport.Read(folder.Lines("serial.txt"));
        return code == 0 && guest.IsComplete
            ? Report(guest, EventReport.Read(folder.Lines("events.jsonl")))
            : throw DemoRun.NotFinished(code, folder.Lines("serial.txt"));
    }

    /// <summary>A table under its head.</summary>
    public static string Table(string[] head, IEnumerable<string[]> rows)
    {
        TextTable table = new(head);
        foreach (string[] row in rows)
        {
            table.Add(row);
        }

        StringBuilder text = new();
        table.Write(text);
        return text.ToString();
    }

    private static bool Report(GuestReport guest, EventReport events)
    {
        List<DemoRow> rows = [.. DemoMachine.Devices.SelectMany(d => d.Bars.Select(b => DemoRow.Judge(d, b, guest, events)))];
        Console.WriteLine($"Guest kernel: {guest.Kernel}. Every address below is what the guest's own lspci printed.");
        Console.WriteLine();
        Console.Write(Table(DemoRow.Head, rows.Select(r => r.Cells)));
        Console.WriteLine();
        int wrong = rows.Count(r => !r.Agrees);
        foreach (DemoDevice device in DemoMachine.Devices)
        {
            string? interrupt = events.Decoded($"{device.Id}.bar0") is { } place ? guest.Interrupt(place.Bdf) : null;
            Console.WriteLine($"{device.Id}: interrupt {interrupt ?? "not taken"}");
            wrong += interrupt?.EndsWith("ok", StringComparison.Ordinal) == true ? 0 : 1;
        }

        Console.WriteLine($"{rows.Count} BARs; {(wrong == 0 ? "guest and monitor agree on every one" : $"{wrong} WRONG")}; the run ended with {events.End}.");
        return wrong == 0 && events.End == "guest.poweroff";
    }
}
