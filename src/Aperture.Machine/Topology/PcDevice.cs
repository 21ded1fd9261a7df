using Aperture.Devices.Display;
using Aperture.Machine.Configuration;
using Aperture.Pci;
using Aperture.Placement.Request;
using Aperture.Virtio.Block;
using Aperture.Virtio.Transport;

namespace Aperture.Machine.Topology;

/// <summary>A device of a PC on PCI that the user asked for, a disk or a display adapter, before it has a place.</summary>
/// <param name="Id">Its name, unique in the machine.</param>
/// <param name="Kind"><see cref="NodeKind.Disk"/> or <see cref="NodeKind.Display"/>.</param>
/// <param name="Bars">Its BARs, pinned ones with their address.</param>
public sealed record PcDevice(string Id, NodeKind Kind, IReadOnlyList<BarDemand> Bars)
{
    /// <summary>Debian's video BIOS for the standard VGA (package seabios).</summary>
    public const string StandardVideoBios = "/usr/share/seabios/vgabios-stdvga.bin";

    /// <summary>Its place on its bus, or null to take the next free one.</summary>
    public byte? DeviceFunction { get; init; }

    /// <summary>The port it sits below, or null for the root bus.</summary>
    public string? Port { get; init; }

    /// <summary>What happens when the guest moves a pinned BAR.</summary>
    public BarPinPolicy PinPolicy { get; init; }

    /// <summary>The disk.</summary>
    public DiskOptions? Disk { get; init; }

    /// <summary>The display's video BIOS, or null for none.</summary>
    public string? VideoBios { get; init; }

    /// <summary>Where the display's text goes, or null.</summary>
    public string? TextPath { get; init; }

    /// <summary>The disks and displays of <paramref name="config"/>, in its order.</summary>
    /// <exception cref="ApertureException">An option is malformed, or there are two displays.</exception>
    public static IReadOnlyList<PcDevice> Read(MachineConfig config)
    {
        List<PcDevice> devices = [];
        foreach (DeviceConfig device in config.Devices)
        {
            if (device.Type == "disk")
            {
                devices.Add(ReadDisk(device, devices.Count(d => d.Kind == NodeKind.Disk)));
            }
            else if (device.Type == "vga")
            {
                devices.Add(devices.Exists(d => d.Kind == NodeKind.Display)
                    ? throw new ApertureException("--device vga is given twice; a PC has one VGA adapter.")
                    : ReadDisplay(device));
            }
        }

        return devices;
    }

    private static PcDevice ReadDisk(DeviceConfig device, int number)
    {
        List<BarPin> pins = [];
        List<KeyValuePair<string, string>> rest = TopologyBuilder.SplitPins(device, pins);
        if (!DiskOptions.TryParse(rest, out DiskOptions? disk, out string? error))
        {
            throw new ApertureException($"--device {error}.");
        }

        string id = disk.Id ?? $"disk{number}";
        return new PcDevice(id, NodeKind.Disk, Demands(id, [new BarDemand(VirtioLayout.Bar, BarKind.Memory32, VirtioLayout.BarSize)], pins))
        {
            DeviceFunction = disk.DeviceFunction,
            Port = disk.Port,
            Disk = disk,
            PinPolicy = PolicyOf(pins),
        };
    }

    private static PcDevice ReadDisplay(DeviceConfig device)
    {
        List<BarPin> pins = [];
        TopologyBuilder.SplitPins(device, pins);
        OptionList options = device.Options;
        options.AllowOnly("id", "addr", "rom", "text", "bars", "fixed-bars", "policy");
        string id = options.Find("id") ?? "vga";
        string? rom = options.Find("rom") ?? (File.Exists(StandardVideoBios) ? StandardVideoBios : null);
        rom = rom == "none" ? null : rom;
        byte? place = options.Find("addr") is { } text
            ? Bdf.TryParseDeviceFunction(text, out byte parsed) ? parsed : throw new ApertureException($"--device vga,addr={text} is not a place on a bus; write DEVICE.FUNCTION in hexadecimal, such as 02.0.")
            : null;
        List<BarDemand> bars =
        [
            new(StandardVga.FramebufferBar, BarKind.Memory32Prefetchable, StandardVga.FramebufferSize),
            new(StandardVga.RegisterBar, BarKind.Memory32, StandardVga.RegisterSize),
        ];
        if (rom is not null)
        {
            bars.Add(new BarDemand(BarKinds.RomIndex, BarKind.Rom, ExpansionRom.SizeFor(LengthOf(rom))));
        }

        return new PcDevice(id, NodeKind.Display, Demands(id, bars, pins)) { DeviceFunction = place, VideoBios = rom, TextPath = options.Find("text"), PinPolicy = PolicyOf(pins) };
    }

    private static BarPinPolicy PolicyOf(List<BarPin> pins) => pins.Count > 0 ? pins[0].Policy : BarPinPolicy.Lock;

    private static List<BarDemand> Demands(string id, List<BarDemand> bars, List<BarPin> pins)
    {
        foreach (BarPin pin in pins)
        {
            int at = bars.FindIndex(b => b.Index == pin.Index);
            bars[at >= 0 ? at : throw new ApertureException($"{id} has no {BarKinds.BarName(pin.Index)} to pin at {pin.Address}; drop the pin.")] = bars[at] with { Pin = pin.Address };
        }

        return bars;
    }

    private static int LengthOf(string rom)
    {
        FileInfo file = new(rom);
        return file.Exists && file.Length <= 1 << 24
            ? (int)file.Length
            : throw new ApertureException($"--device vga,rom={rom}: there is no such file of at most 16 MiB; rom=none is an adapter without video BIOS.");
    }
}
