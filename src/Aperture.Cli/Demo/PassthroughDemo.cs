using System.Text.Json;
using Aperture.Lab;

namespace Aperture.Cli.Demo;

/// <summary>
/// An NVMe drive and a network controller of the lab's machine, mirrored below their switch: a guest with the drivers of any Linux reads, writes and pings
/// through them, and finds their BARs where that machine has them.
/// </summary>
internal static class PassthroughDemo
{
    private const string Devices = "0000:03:00.0,0000:04:00.0";

    /// <summary>Boots the guest and prints the comparison; true when all is as it should be.</summary>
    public static bool Run(DemoFolder folder, string accel)
    {
        LabArtifacts artifacts = LabArtifacts.Locate();
        if (!artifacts.HasPassthrough || !artifacts.HasOuter)
        {
            throw new ApertureException(
                "the guest for passed-through devices is not there: run `./aperture lab prepare`, which fetches and builds it.", ApertureException.HostFailure);
        }

        int code = DemoRun.Boot(
            [
                "run", "--accel", "lab", "--lab-hardware", "passthrough", "--kernel", artifacts.PassthroughKernel, "--initramfs",
                artifacts.PassthroughInitramfs,
                "--cmdline", "console=ttyS0 quiet panic=-1 lpj=1000000 tsc=reliable no_timer_check mitigations=off aperture.script=assigned",
                "--memory", "size=256M", "--no-reboot", "--serial", "file=" + folder.File("passthrough.txt"), "--events", folder.File("passthrough.jsonl"),
                "--mirror", Devices,
            ],
            folder.File("passthrough.txt"));
        List<string[]> lines =
            [.. folder.Lines("passthrough.txt").Select(l => l.TrimEnd('\r', ' ')).Where(l => l.StartsWith("APERTURE ", StringComparison.Ordinal))
                .Select(l => l.Split(' ')[1..])];
        return code == 0 && lines.Exists(l => l is ["done", ..])
            ? Report(lines, HostAddresses(folder.Lines("passthrough.jsonl")))
            : throw DemoRun.NotFinished(code, folder.Lines("passthrough.txt"));
    }

    private static bool Report(List<string[]> lines, Dictionary<(string Function, string Bar), string> host)
    {
        List<string[]> rows = [];
        bool right = true;
        foreach (string[] line in lines.Where(l => l is ["bar", _, _, _, ..]))
        {
            string seen = $"0x{Convert.ToUInt64(line[3], 16):x}";
            string there = host.GetValueOrDefault((line[1], "bar" + line[2]), "unknown");
            right &= seen == there;
            rows.Add([line[1], "bar" + line[2], there, seen, seen == there ? "ok" : "WRONG"]);
        }

        Console.Write(BarsDemo.Table(["FUNCTION", "BAR", "HOST", "GUEST'S KERNEL", "VERDICT"], rows));
        Console.WriteLine();
        foreach (string[] line in lines.Where(l => l[0] is "disk" or "disk-write" or "net" or "ping" or "vectors"))
        {
            Console.WriteLine(string.Join(' ', line));
        }

        bool works = lines.Exists(l => l is ["disk-write", _, "ok"]) && lines.Exists(l => l is ["ping", _, "ok", ..]);
        Console.WriteLine(right && works && rows.Count > 0
            ? $"{rows.Count} BARs at the host's addresses; the drive reads and writes, the network controller pings."
            : "NOT as it should be.");
        return right && works && rows.Count > 0;
    }

    private static Dictionary<(string Function, string Bar), string> HostAddresses(string[] events)
    {
        Dictionary<(string, string), string> found = [];
        foreach (string line in events.Where(l => l.Contains("\"vfio.opened\"", StringComparison.Ordinal)))
        {
            using JsonDocument json = JsonDocument.Parse(line);
            foreach (JsonElement bar in json.RootElement.GetProperty("bars").EnumerateArray())
            {
                if (bar.TryGetProperty("host", out JsonElement address))
                {
                    found[(json.RootElement.GetProperty("host").GetString()!, bar.GetProperty("bar").GetString()!)] = address.GetString()!;
                }
            }
        }

        return found;
    }
}
