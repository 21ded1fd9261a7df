namespace Aperture.Lab.Hardware;

/// <summary>
/// The PCI devices that the emulated machine (L1) has beyond what the lab itself needs. A device comes after the port it sits below.
/// </summary>
/// <param name="Name">What the command line calls the set.</param>
/// <param name="Devices">The devices in QEMU's order.</param>
public sealed record LabHardware(string Name, IReadOnlyList<LabDevice> Devices)
{
    /// <summary>
    /// Devices to pass through: two NVMe drives and a network controller below one switch, a controller with virtual functions below
    /// a root port, a device without reset on the root bus, and a root port with nothing below it. docs/lab.md has their places.
    /// </summary>
    public static LabHardware Passthrough { get; } = new("passthrough",
    [
        new LabRootPort("rp1", 0x10),
        new LabSwitch("sw0", "rp1", 3),
        new LabNvme("labnvme0", "sw0.0"),
        new LabNetwork("labnic0", "sw0.1", LabNetworkKind.E1000e),
        new LabNvme("labnvme1", "sw0.2") { ControllerMemoryMiB = 16 },
        new LabRootPort("rp2", 0x11),
        new LabNetwork("labigb0", "rp2", LabNetworkKind.Igb),
        new LabRootPort("rp3", 0x12),
        new LabEdu("labedu0", 0x17),
    ]);

    /// <summary>The sets that have a name.</summary>
    public static IReadOnlyList<LabHardware> Named { get; } = [Passthrough];

    /// <summary>The set of that name.</summary>
    /// <exception cref="ApertureException">There is none.</exception>
    public static LabHardware Find(string name) => Named.FirstOrDefault(h => h.Name == name) ??
        throw new ApertureException($"The lab has no hardware called '{name}'; it has {string.Join(", ", Named.Select(h => h.Name))}.");

    /// <summary>The same without the network controllers of kind <see cref="LabNetworkKind.Igb"/> if the emulator cannot model them.</summary>
    /// <param name="emulator">The emulator.</param>
    /// <param name="missing">The models left out.</param>
    internal LabHardware For(LabEmulator emulator, out IReadOnlyList<string> missing)
    {
        LabDevice[] lacking = [.. Devices.Where(d => d is LabNetwork { Kind: LabNetworkKind.Igb } && !emulator.Has(d.Model))];
        missing = [.. lacking.Select(d => d.Model).Distinct()];
        return this with { Devices = [.. Devices.Except(lacking)] };
    }

    /// <summary>QEMU's arguments for all of them.</summary>
    internal IEnumerable<string> Arguments(string folder)
    {
        LabDeviceContext context = new(folder);
        return Devices.SelectMany(d => d.Options(context)).SelectMany(o => new[] { o.Option, o.Value });
    }

    /// <summary>Makes the files that they need.</summary>
    internal void MakeFiles(string folder)
    {
        foreach (LabDevice device in Devices)
        {
            device.MakeFiles(folder);
        }
    }
}
