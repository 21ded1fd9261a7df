using System.Globalization;
using System.Text.RegularExpressions;
using Aperture.Configuration;
using Aperture.Machine;

namespace Aperture.Cli.Demo;

/// <summary>
/// Starts Debian's SeaBIOS to its boot attempt in this process and reads the map that it says it made. It needs only 32-bit guests, so it runs on any KVM.
/// </summary>
internal static partial class SeaBiosDemo
{
    private const string SeaBios = "/usr/share/seabios/bios-256k.bin";
    private const string Done = "No bootable device.";
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    [GeneratedRegex("PCI: map device bdf=([0-9a-f]{2}:[0-9a-f]{2}\\.[0-7])  bar ([0-6]), addr ([0-9a-f]+), size")]
    private static partial Regex MapLine();

    /// <summary>What it did, or null after the sentence that says why it was not started.</summary>
    /// <param name="folder">Where its log goes.</param>
    /// <param name="machine">The options that make the machine.</param>
    /// <param name="names">The machine's functions by the routing id that they have once buses are numbered.</param>
    public static FirmwareAccount? Run(DemoFolder folder, IReadOnlyList<Setting> machine, IReadOnlyDictionary<string, string> names)
    {
        if (!File.Exists(SeaBios))
        {
            Console.WriteLine($"SeaBIOS is not installed here ({SeaBios}, package seabios), so its map is not shown.");
            return null;
        }

        string log = folder.File("seabios.txt");
        try
        {
            Boot(log, [new("--firmware", SeaBios), new("--serial", "null"), new("--events", folder.File("seabios.jsonl")),
                new("--device", $"debugcon,file={log}"), .. machine]);
        }
        catch (ApertureException failure) when (failure.ExitCode == ApertureException.HostFailure)
        {
            Console.WriteLine($"SeaBIOS was not started: {failure.Message}");
            return null;
        }

        string text = DemoFolder.ReadShared(log);
        return text.Contains(Done, StringComparison.Ordinal)
            ? new FirmwareAccount("SEABIOS", text.Split('\n')[0], Said(text, names), EventReport.Read(folder.Lines("seabios.jsonl")))
            : throw DemoRun.NotFinished(0, text.Split('\n'));
    }

    private static Dictionary<(string Function, int Bar), ulong> Said(string text, IReadOnlyDictionary<string, string> names) => MapLine().Matches(text)
        .Where(m => names.ContainsKey(m.Groups[1].Value))
        .ToDictionary(
            m => (names[m.Groups[1].Value], m.Groups[2].Value[0] - '0'),
            m => ulong.Parse(m.Groups[3].Value, NumberStyles.HexNumber, CultureInfo.InvariantCulture));

    private static void Boot(string log, Setting[] options)
    {
        using VirtualMachine machine = VirtualMachine.Create(ConfigReader.Read(options), TimeProvider.System);
        using CancellationTokenSource ended = new(Limit);
        Thread watch = new(() =>
        {
            while (!ended.Token.WaitHandle.WaitOne(50) && !DemoFolder.ReadShared(log).Contains(Done, StringComparison.Ordinal))
            {
            }

            machine.Stop("SeaBIOS has nothing to boot");
        });
        watch.Start();
        machine.Run();
        ended.Cancel();
        watch.Join();
    }
}
