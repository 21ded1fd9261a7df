using Aperture.Configuration.Options;
using Aperture.Pci;
using Aperture.Placement.Request;

namespace Aperture.Configuration.Kinds;

/// <summary>A virtio disk over a raw image: <c>--device disk,file=PATH,...</c>.</summary>
public sealed record DiskSpec : PciDeviceSpec
{
    private const ulong BarSize = 16 << 10;
    private const int LongestSerial = 20;

    /// <summary>The image.</summary>
    public string File { get; init; } = "";

    /// <summary>True when the guest may not write.</summary>
    public bool ReadOnly { get; init; }

    /// <summary>True when writes are forgotten at the end.</summary>
    public bool Snapshot { get; init; }

    /// <summary>What the guest reads as the disk's serial; null for the name.</summary>
    public string? Serial { get; init; }

    /// <summary>Its place in the boot order, 0 first; null when it is not to be booted from first.</summary>
    public int? BootIndex { get; init; }

    /// <inheritdoc/>
    public override DeviceKind Kind => TheKind;

    /// <inheritdoc/>
    public override IEnumerable<HostFile> Files => [new(File, ReadOnly || Snapshot ? HostAccess.Read : HostAccess.Write)];

    /// <inheritdoc/>
    protected override IEnumerable<BarDemand> Bars => [new(0, BarKind.Memory32, BarSize)];

    internal static DeviceKind TheKind { get; } = new DeviceKind<DiskSpec>(
        "disk", "disk,file=PATH,...", "a virtio disk over a raw image", new OptionTable<DiskSpec>(
        "--device",
        "a disk",
        [
            new("file", "PATH", OptionShape.File, "the raw image", (s, v) => s with { File = v.FileName() }) { Required = true },
            PciOptions.Id<DiskSpec>("its name, unique in the machine (default disk0, disk1, ...)"),
            new("readonly", "on|off", OptionShape.OnOff, "the guest may not write (default off)", (s, v) => s with { ReadOnly = v.OnOff() }),
            new("snapshot", "on|off", OptionShape.OnOff, "what the guest writes is forgotten at the end (default off)",
                (s, v) => s with { Snapshot = v.OnOff() }),
            new("serial", "TEXT", OptionShape.Text, $"the serial that the guest reads, 1 to {LongestSerial} ASCII characters (default: the name)",
                (s, v) => s with { Serial = SerialOf(v) }),
            new("bootindex", "N", OptionShape.Number, "its place in the firmware's boot order, 0 first", (s, v) => s with { BootIndex = IndexOf(v) }),
            .. PciOptions.Place<DiskSpec>(),
            .. PciOptions.Pins<DiskSpec>(),
        ],
        Finish));

    private static string SerialOf(OptionValue value) => value.Text.Length is > 0 and <= LongestSerial && value.Text.All(char.IsAscii)
        ? value.Text
        : throw value.Fault($": a serial has 1 to {LongestSerial} ASCII characters");

    private static int IndexOf(OptionValue value) => ByteSize.TryParseNumber(value.Text, out ulong number) && number <= 255
        ? (int)number
        : throw value.Fault(": the boot index must be a number from 0 to 255");

    private static DiskSpec Finish(DiskSpec spec, OptionContext context) => spec is { ReadOnly: true, Snapshot: true }
        ? throw context.Fault($"disk {spec.File}: readonly=on and snapshot=on exclude each other: a snapshot is for a guest that writes")
        : PciOptions.CheckPins(spec, context, spec.Id ?? "the disk", "drop the pin");
}
