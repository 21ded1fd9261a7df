using Aperture.Cli.Verbs;
using Aperture.Lab;
using Aperture.Machine.Configuration;
using Aperture.Pci;
using Aperture.Placement;

namespace Aperture.Cli.Demo;

/// <summary>Unmodified firmware enumerates the same devices: the map that each chose, beside the one that Aperture plans for direct boot.</summary>
internal static class FirmwareDemo
{
    private static readonly (string Name, string Image, string? Variables)[] Firmwares =
    [
        ("SeaBIOS", "/usr/share/seabios/bios-256k.bin", null),
        ("OVMF", "/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
    ];

    private static readonly string[] Machine =
    [
        "--memory", "size=512M", "--root-port", "id=rp0",
        "--device", "test,id=accel0,port=rp0,bar0=mem32:1M,bar2=mem64p:256M:ram",
        "--device", "test,id=nic0,addr=05.0,bar0=mem32:64K,bar1=mem32p:4M:ram,bar4=io:32",
    ];

    /// <summary>Boots Debian's kernel through each firmware and prints the maps; true when the guests came through.</summary>
    public static bool Run(DemoFolder folder, string accel)
    {
        LabArtifacts artifacts = LabArtifacts.Locate();
        PlacementMap plan = Plan();
        Dictionary<string, EventReport> seen = [];
        foreach ((string name, string image, string? variables) in Firmwares)
        {
            if (!File.Exists(image))
            {
                throw new ApertureException($"{image} does not exist: install it (apt-get install seabios ovmf), or start the demo as ./aperture demo, which does.", ApertureException.HostFailure);
            }

            seen.Add(name, Boot(folder, artifacts, accel, name, variables is null ? image : $"{image},vars={folder.File("vars.fd")},template={variables}"));
        }

        List<string[]> rows = [];
        foreach (FunctionPlacement function in plan.Functions)
        {
            foreach (BarPlacement bar in function.Bars)
            {
                string region = $"{function.Name}.{BarKinds.BarName(bar.Demand.Index)}";
                rows.Add([function.Name, BarKinds.BarName(bar.Demand.Index), bar.Demand.Kind.Keyword(), ByteSize.Format(bar.Size), bar.Address.ToString(),
                    .. Firmwares.Select(f => seen[f.Name].Decoded(region)?.Address.ToString() ?? "nothing")]);
            }
        }

        Console.Write(BarsDemo.Table(["FUNCTION", "BAR", "KIND", ">SIZE", "PLANNED", .. Firmwares.Select(f => f.Name.ToUpperInvariant())], rows));
        bool whole = rows.TrueForAll(row => !row.Contains("nothing"));
        Console.WriteLine();
        Console.WriteLine(whole ? "Every BAR decodes where its firmware put it; Debian's kernel came up on both maps and kept them." : "NOT every BAR decodes.");
        return whole;
    }

    private static PlacementMap Plan()
    {
        List<KeyValuePair<string, string>> options = [];
        for (int i = 0; i < Machine.Length; i += 2)
        {
            options.Add(new(Machine[i], Machine[i + 1]));
        }

        return PlanInput.Of(ConfigReader.Read(options, boots: false)).Result.Require();
    }

    private static EventReport Boot(DemoFolder folder, LabArtifacts artifacts, string accel, string name, string firmware)
    {
        string log = $"{name.ToLowerInvariant()}.txt";
        string events = $"{name.ToLowerInvariant()}.jsonl";
        int code = DemoRun.Boot(
            [
                "run", "--accel", accel, "--firmware", firmware, "--kernel", artifacts.GuestKernel, "--initramfs", artifacts.GuestInitramfs,
                "--cmdline", "console=ttyS0 quiet panic=-1 lpj=1000000 tsc=reliable no_timer_check mitigations=off aperture.script=none",
                .. Machine, "--no-reboot", "--serial", "file=" + folder.File(log), "--events", folder.File(events),
            ],
            folder.File(log));
        EventReport report = EventReport.Read(folder.Lines(events));
        return code == 0 && report.End == "guest.poweroff" ? report : throw DemoRun.NotFinished(code, folder.Lines(log));
    }
}
