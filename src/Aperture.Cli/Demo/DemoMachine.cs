using Aperture.Pci;

namespace Aperture.Cli.Demo;

/// <summary>A BAR of the demo's devices.</summary>
/// <param name="Index">0 to 5, or <see cref="BarKinds.RomIndex"/>.</param>
/// <param name="Kind">Its kind.</param>
/// <param name="Size">Bytes.</param>
/// <param name="Ram">Backed by memory rather than trapped.</param>
/// <param name="Pin">Where it is asked to be; null for anywhere.</param>
internal sealed record DemoBar(int Index, BarKind Kind, ulong Size, bool Ram = false, GuestAddress? Pin = null);

/// <summary>A test device of the demo.</summary>
/// <param name="Id">Its name.</param>
/// <param name="Port">The port it is plugged into.</param>
/// <param name="Interrupts">Its interrupt option.</param>
/// <param name="Bars">Its BARs.</param>
internal sealed record DemoDevice(string Id, string Port, string Interrupts, IReadOnlyList<DemoBar> Bars)
{
    /// <summary>The value of <c>--device</c> that makes it.</summary>
    public string Option()
    {
        List<string> items = ["test", $"id={Id}", $"port={Port}", Interrupts];
        foreach (DemoBar bar in Bars)
        {
            string backing = bar.Kind == BarKind.Io ? "" : bar.Ram ? ":ram" : ":trap";
            items.Add(bar.Index == BarKinds.RomIndex
                ? $"rom={ByteSize.Format(bar.Size)}"
                : $"bar{bar.Index}={bar.Kind.Keyword()}:{ByteSize.Format(bar.Size)}{backing}");
        }

        string pins = string.Join(",", Bars.Where(b => b.Pin is not null).Select(b => $"{BarKinds.BarName(b.Index)}@{b.Pin}"));
        return string.Join(",", pins.Length > 0 ? items.Append("bars=" + pins) : items);
    }
}

/// <summary>The machine that the demo boots: three test devices behind a root port and a switch, with BARs of every kind, two of them pinned.</summary>
internal static class DemoMachine
{
    private const ulong KiB = 1UL << 10;
    private const ulong MiB = 1UL << 20;
    private const ulong GiB = 1UL << 30;

    /// <summary>The devices.</summary>
    public static IReadOnlyList<DemoDevice> Devices { get; } =
    [
        new("accel0", "sw0.0", "msix=4",
        [
            new(0, BarKind.Memory32, MiB),
            new(2, BarKind.Memory64Prefetchable, 64 * GiB, Ram: true, Pin: new GuestAddress(0x6b80_0000_0000)),
            new(4, BarKind.Io, 256),
            new(BarKinds.RomIndex, BarKind.Rom, 64 * KiB),
        ]),
        new("nic0", "sw0.1", "msi=4",
        [
            new(0, BarKind.Memory32, 64 * KiB, Pin: new GuestAddress(0xe100_0000)),
            new(1, BarKind.Memory32Prefetchable, 4 * MiB, Ram: true),
            new(2, BarKind.Memory64, 2 * MiB, Ram: true),
            new(4, BarKind.Io, 32),
        ]),
        new("disk0", "rp1", "msix=8",
        [
            new(0, BarKind.Memory64, 16 * KiB),
            new(2, BarKind.Memory64Prefetchable, 256 * MiB, Ram: true),
            new(4, BarKind.Memory32Prefetchable, 64 * KiB),
        ]),
    ];

    /// <summary>The command line of the guests' kernel.</summary>
    public const string KernelOptions = "console=ttyS0 quiet panic=-1 lpj=1000000 tsc=reliable no_timer_check mitigations=off aperture.ids=a9e7:0001";

    /// <summary>The options that make ports and devices, each followed by its value.</summary>
    public static IReadOnlyList<string> Topology(IEnumerable<DemoDevice> devices) =>
    [
        "--root-port", "id=rp0",
        "--root-port", "id=rp1",
        "--switch", "id=sw0,port=rp0,downstream=2",
        .. devices.SelectMany(d => new[] { "--device", d.Option() }),
    ];

    /// <summary>The arguments of <c>aperture run</c>.</summary>
    public static IReadOnlyList<string> RunArguments(string kernel, string initramfs, string serial, string events, string accel) =>
    [
        "run",
        "--accel", accel,
        "--kernel", kernel,
        "--initramfs", initramfs,
        "--cmdline", KernelOptions,
        "--memory", "size=256M",
        "--no-reboot",
        "--serial", "file=" + serial,
        "--events", events,
        .. Topology(Devices),
    ];
}
