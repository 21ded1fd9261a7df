using Aperture.Configuration.Options;
using Aperture.Pci;
using Aperture.Placement.Request;

namespace Aperture.Configuration.Kinds;

/// <summary>A standard VGA adapter: <c>--device vga,...</c>. A PC has one.</summary>
public sealed record VgaSpec : PciDeviceSpec
{
    /// <summary>Debian's video BIOS for it (package seabios).</summary>
    public const string StandardVideoBios = "/usr/share/seabios/vgabios-stdvga.bin";

    private const ulong FramebufferSize = 16 << 20;
    private const ulong RegisterSize = 4 << 10;

    /// <summary>The video BIOS, or null for none.</summary>
    public string? VideoBios { get; init; }

    /// <summary>Bytes of expansion ROM for it, a power of two; 0 for none.</summary>
    public uint RomSize { get; init; }

    /// <summary>Where the text on its screen goes, or null.</summary>
    public string? TextFile { get; init; }

    /// <inheritdoc/>
    public override DeviceKind Kind => TheKind;

    /// <inheritdoc/>
    public override IEnumerable<HostFile> Files
    {
        get
        {
            if (VideoBios is not null)
            {
                yield return new(VideoBios, HostAccess.Read);
            }

            if (TextFile is not null)
            {
                yield return new(TextFile, HostAccess.Write);
            }
        }
    }

    /// <inheritdoc/>
    protected override IEnumerable<BarDemand> Bars
    {
        get
        {
            yield return new(0, BarKind.Memory32Prefetchable, FramebufferSize);
            yield return new(2, BarKind.Memory32, RegisterSize);
            if (RomSize > 0)
            {
                yield return new(BarKinds.RomIndex, BarKind.Rom, RomSize);
            }
        }
    }

    internal static DeviceKind TheKind { get; } = new DeviceKind<VgaSpec>("vga", "vga", "a standard VGA adapter", new OptionTable<VgaSpec>(
        "--device",
        "a display adapter",
        [
            PciOptions.Id<VgaSpec>("its name, unique in the machine (default vga)"),
            new("rom", "PATH|none", OptionShape.File, "its video BIOS (default: Debian's, where it is installed)",
                (s, v) => s with { VideoBios = v.FileName() }),
            new("text", "PATH", OptionShape.File, "gets what the screen says in text modes", (s, v) => s with { TextFile = v.FileName() }),
            .. PciOptions.Place<VgaSpec>(),
            .. PciOptions.Pins<VgaSpec>(),
        ],
        Finish));

    private static VgaSpec Finish(VgaSpec spec, OptionContext context)
    {
        string? rom = spec.VideoBios ?? (System.IO.File.Exists(StandardVideoBios) ? StandardVideoBios : null);
        rom = rom == "none" ? null : rom;
        uint size = rom is null ? 0 : RomFile.SizeFor(rom);
        return rom is null || size > 0
            ? PciOptions.CheckPins(spec with { VideoBios = rom, RomSize = size }, context, spec.Id ?? "vga", "drop the pin")
            : throw context.Fault($"rom={rom}: there is no such file of at most {ByteSize.Format(RomFile.Largest)}; rom=none is an adapter without video BIOS");
    }
}
