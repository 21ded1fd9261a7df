using Aperture.Cli.CommandLine;
using Aperture.Cli.Demo;
using Aperture.Lab;

namespace Aperture.Cli.Verbs;

/// <summary><c>aperture demo</c>: boots guests and compares independent accounts of where their BARs are.</summary>
internal static class DemoVerb
{
    private static readonly (string Name, string Title, Func<DemoFolder, string, bool> Run)[] Parts =
    [
        ("bars", "Pinned BARs: Debian's kernel, booted directly", BarsDemo.Run),
        ("firmware", "SeaBIOS and OVMF on one machine: the map that each chose, and the one that the operating system takes over", FirmwareDemo.Run),
        ("mediation", "Mediation: three guests divide the memory of one device while they run", MediationDemo.Run),
        ("passthrough", "Passthrough: an NVMe drive and a network controller of the lab's machine, at that machine's addresses", PassthroughDemo.Run),
    ];

    public static Verb Verb { get; } = new(
        "demo",
        "boot guests with pinned BARs, through firmware, with shared and with passed-through devices, and show what they see",
        [
            new("--part", "bars|firmware|mediation|passthrough", "only this part; default all four", Repeatable: true),
            new("--accel", "auto|kvm|lab",
                "as for run (default auto), for bars and OVMF; passthrough uses the lab, whose devices are known; mediation and SeaBIOS any KVM"),
            new("--keep", "DIRECTORY", "leave the guests' logs and the events there"),
        ],
        "aperture demo --part bars",
        Run);

    private static int Run(ParsedArguments arguments)
    {
        LabArtifacts.Locate().RequireGuest();
        string[] chosen = [.. arguments.Values.Where(v => v.Key == "--part").Select(v => v.Value)];
        if (chosen.FirstOrDefault(name => Parts.All(p => p.Name != name)) is { } unknown)
        {
            throw new ApertureException($"--part {unknown} is not a part of the demo; there are {string.Join(", ", Parts.Select(p => p.Name))}.");
        }

        using DemoFolder folder = DemoFolder.Make(arguments.Find("--keep"));
        bool allRight = true;
        foreach ((string name, string title, Func<DemoFolder, string, bool> run) in Parts.Where(p => chosen.Length == 0 || chosen.Contains(p.Name)))
        {
            Console.WriteLine($"== {title}");
            allRight &= run(folder, arguments.Find("--accel") ?? "auto");
            Console.WriteLine();
        }

        return allRight ? 0 : 1;
    }
}
