using Aperture.Firmware.Boot;
using Aperture.Firmware.Memory;
using Aperture.Firmware.Platform;
using Aperture.Firmware.Smbios;

namespace Aperture.Firmware.FwCfg;

/// <summary>What firmware is told beyond what it finds out by itself.</summary>
public sealed record FirmwareConfiguration
{
    /// <summary>
    /// The machine as its registers stand. Called once when the items are built, and again on a vCPU's thread, under the configuration device's
    /// lock, when firmware reads the memory map or first reads the ACPI files after a reset; an <see cref="ApertureException"/> from their tables is then
    /// reported, not thrown.
    /// </summary>
    public required Func<PlatformDescription> Platform { get; init; }

    /// <summary>What is not RAM although nothing decodes there, such as AMD's HyperTransport range. Neither ECAM nor ROM: firmware knows both.</summary>
    public IReadOnlyList<MemoryMapEntry> Reservations { get; init; } = [];

    /// <summary>Processors that could be present, at least as many as are; 0 for just those.</summary>
    public int MaxProcessors { get; init; }

    /// <summary>The machine's UUID.</summary>
    public Guid Uuid { get; init; }

    /// <summary>No display: SeaBIOS then prints to the serial port where its option ROM for that is present.</summary>
    public bool NoGraphic { get; init; }

    /// <summary>Boot devices in order, as <see cref="OpenFirmwarePath"/> spells them; empty leaves the order to the firmware.</summary>
    public IReadOnlyList<string> BootOrder { get; init; } = [];

    /// <summary>SeaBIOS offers its boot menu.</summary>
    public bool BootMenu { get; init; }

    /// <summary>How long it waits for the menu's key, in whole milliseconds up to 65535; null for its own default.</summary>
    public TimeSpan? BootMenuWait { get; init; }

    /// <summary>How long it waits before it restarts when nothing could be booted; null for its own default, 60 s.</summary>
    public TimeSpan? BootFailWait { get; init; }

    /// <summary>The first address above 4 GiB at which firmware may put BARs; null when that is the end of RAM.</summary>
    public GuestAddress? ReservedMemoryEnd { get; init; }

    /// <summary>PCI root buses beside bus 0.</summary>
    public ulong ExtraPciRoots { get; init; }

    /// <summary>OVMF's 64-bit window in MiB; null lets it choose.</summary>
    public uint? PciMmio64Megabytes { get; init; }

    /// <summary>A kernel to start, or null.</summary>
    public FirmwareKernel? Kernel { get; init; }

    /// <summary>Option ROMs for <c>genroms/</c> by file name. With a kernel under SeaBIOS: <see cref="LinuxBootRom"/>.</summary>
    public IReadOnlyDictionary<string, BootFile> OptionRoms { get; init; } = new Dictionary<string, BootFile>();

    /// <summary>How system management interrupts are agreed on; null on a machine without them.</summary>
    public SmiFeatures? Smi { get; init; }

    /// <summary>What SMBIOS says about the machine.</summary>
    public SmbiosDescription Smbios { get; init; } = new();

    /// <summary>Takes a sentence when tables had to stay as they were.</summary>
    public Action<string>? Report { get; init; }
}
