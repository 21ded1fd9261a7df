using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using Aperture.Machine;
using Aperture.Machine.Configuration;
using Aperture.Pci;
using Aperture.Placement;
using Aperture.Report;

namespace Aperture.Cli.Demo;

/// <summary>
/// Starts Debian's SeaBIOS on the demo's machine and sets the map that it says it made beside what the monitor decodes and what Aperture planned. SeaBIOS needs only
/// 32-bit guests, so it runs on any KVM; where there is none, or no SeaBIOS, this part says so and is left out.
/// </summary>
internal static partial class FirmwareDemo
{
    private const string SeaBios = "/usr/share/seabios/bios-256k.bin";
    private const string Done = "No bootable device.";
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    // SeaBIOS gives up on a machine with a 32-bit prefetchable BAR beside one that no 32-bit window can hold: a bridge has one prefetchable window.
    private static readonly DemoDevice[] s_devices =
        [.. DemoMachine.Devices.Select(d => d with { Bars = [.. d.Bars.Select(b => b.Kind == BarKind.Memory32Prefetchable ? b with { Kind = BarKind.Memory32 } : b)] })];

    [GeneratedRegex("PCI: map device bdf=([0-9a-f]{2}:[0-9a-f]{2}\\.[0-7])  bar ([0-6]), addr ([0-9a-f]+), size")]
    private static partial Regex MapLine();

    /// <summary>Runs it and prints the table. False when something contradicts itself.</summary>
    public static bool Run(DemoFolder folder)
    {
        if (!File.Exists(SeaBios))
        {
            Console.WriteLine($"SeaBIOS is not installed here ({SeaBios}, package seabios), so its map is not shown.");
            return true;
        }

        string log = folder.File("seabios.txt");
        string events = folder.File("seabios.jsonl");
        PlacementMap plan;
        try
        {
            plan = Boot(log, events);
        }
        catch (ApertureException failure) when (failure.ExitCode == ApertureException.HostFailure)
        {
            Console.WriteLine($"SeaBIOS was not started: {failure.Message}");
            return true;
        }

        return Print(log, EventReport.Read(File.ReadAllLines(events)), plan);
    }

    private static PlacementMap Boot(string log, string events)
    {
        KeyValuePair<string, string>[] options =
        [
            new("--firmware", SeaBios), new("--serial", "null"), new("--memory", "256M"), new("--events", events), new("--device", $"debugcon,file={log}"),
            .. DemoMachine.Topology(s_devices).Chunk(2).Select(pair => new KeyValuePair<string, string>(pair[0], pair[1])),
        ];
        using VirtualMachine machine = VirtualMachine.Create(ConfigReader.Read(options), TimeProvider.System);
        using CancellationTokenSource ended = new(Limit);
        Thread watch = new(() =>
        {
            while (!ended.Token.WaitHandle.WaitOne(50) && !ReadShared(log).Contains(Done, StringComparison.Ordinal))
            {
            }

            machine.Stop("SeaBIOS has nothing to boot");
        });
        watch.Start();
        machine.Run();
        ended.Cancel();
        watch.Join();
        return machine.Map;
    }

    private static bool Print(string log, EventReport events, PlacementMap plan)
    {
        string text = ReadShared(log);
        Dictionary<string, ulong> said = MapLine().Matches(text)
            .ToDictionary(m => $"{m.Groups[1].Value} {BarKinds.BarName(m.Groups[2].Value[0] - '0')}", m => ulong.Parse(m.Groups[3].Value, NumberStyles.HexNumber, CultureInfo.InvariantCulture));
        TextTable table = new("FUNCTION", "DEVICE", "BAR", ">SIZE", ">SEABIOS SAYS", ">IT ANSWERS AT", ">APERTURE'S PLAN", "");
        int rows = 0;
        bool good = text.Contains(Done, StringComparison.Ordinal);
        foreach (FunctionPlacement function in plan.HostBridges.SelectMany(b => All(b.Functions)).Where(f => f.Bars.Count > 0))
        {
            foreach (BarPlacement bar in function.Bars)
            {
                string name = BarKinds.BarName(bar.Demand.Index);
                GuestAddress? answers = events.Decoded($"{function.Name}.{name}")?.Address;
                bool pinned = bar.Demand.Pin is not null;
                ulong? place = said.TryGetValue($"{function.Address} {name}", out ulong address) ? address : null;
                bool agrees = pinned ? answers == bar.Demand.Pin : answers?.Value == place || (answers is null && bar.Demand.Kind == BarKind.Rom);
                good &= agrees;
                rows++;
                table.Add(
                    function.Address.ToString(), function.Name, name, ByteSize.Format(bar.Demand.Size), place is { } told ? $"0x{told:x}" : "-", answers?.ToString() ?? "-",
                    bar.Address.ToString(), !agrees ? "WRONG" : pinned ? "pinned: it stays" : answers is null ? "off: SeaBIOS ran no ROM" : "as SeaBIOS says");
            }
        }

        StringBuilder lines = new();
        table.Write(lines);
        Console.WriteLine($"{text.Split('\n')[0]} on the same machine, its 32-bit BARs not prefetchable, to its boot attempt:");
        Console.WriteLine();
        Console.Write(lines);
        Console.WriteLine();
        Console.WriteLine($"{rows} BARs under SeaBIOS; {(good ? "each answers where SeaBIOS put it or where it is pinned" : "something is WRONG")}.");
        return good;
    }

    private static IEnumerable<FunctionPlacement> All(IEnumerable<FunctionPlacement> functions) =>
        functions.SelectMany(f => f.Bridge is { } bridge ? All(bridge.Functions).Prepend(f) : [f]);

    private static string ReadShared(string path)
    {
        using FileStream file = new(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        using StreamReader reader = new(file);
        return reader.ReadToEnd();
    }
}
