using Aperture.Firmware.Platform;
using Aperture.Placement.Request;
using Aperture.Vfio;

namespace Aperture.Machine.Configuration;

/// <summary>Where the first serial port goes.</summary>
public enum SerialKind : byte
{
    /// <summary>Nowhere: output is dropped, nothing is read.</summary>
    Null,

    /// <summary>The terminal in raw mode, input and output.</summary>
    Tty,

    /// <summary>Standard input and output as they are.</summary>
    Stdio,

    /// <summary>Output to a file.</summary>
    File,
}

/// <summary>How a guest is to be run.</summary>
public enum AccelKind : byte
{
    /// <summary>KVM when it can run the guest, the lab otherwise.</summary>
    Auto,

    /// <summary>This machine's KVM.</summary>
    Kvm,

    /// <summary>KVM inside a software-emulated machine.</summary>
    Lab,
}

/// <summary>A PCI Express root port on bus 0.</summary>
/// <param name="Id">The name that devices refer to.</param>
/// <param name="DeviceFunction">Its place on bus 0, or null to take the next free one.</param>
public sealed record RootPortConfig(string Id, byte? DeviceFunction)
{
    /// <summary>What it keeps free for devices that come later; null for nothing.</summary>
    public PortRoom? Room { get; init; }
}

/// <summary>What a port keeps free for devices that come later.</summary>
/// <param name="Reserve">Least sizes of its windows and bus numbers.</param>
/// <param name="Memory">The memory window itself, or null to let placement choose.</param>
/// <param name="Prefetchable">The prefetchable window itself, or null to let placement choose.</param>
public sealed record PortRoom(HotplugReserve Reserve, AddressRange? Memory, AddressRange? Prefetchable);

/// <summary>A PCI Express switch: one upstream port, and downstream ports named <c>ID.0</c>, <c>ID.1</c>, ...</summary>
/// <param name="Id">The name that the ports' names start with.</param>
/// <param name="Port">The root or downstream port it is plugged into.</param>
/// <param name="DownstreamPorts">1 to 32.</param>
public sealed record SwitchConfig(string Id, string Port, int DownstreamPorts)
{
    /// <summary>What each downstream port keeps free for devices that come later; null for nothing.</summary>
    public PortRoom? Room { get; init; }
}

/// <summary>A device as the user described it: its type, its options, and where its BARs are pinned.</summary>
/// <param name="Type">The leading word: <c>test</c>, <c>vfio</c> or <c>debug-exit</c>.</param>
/// <param name="Options">What follows.</param>
public sealed record DeviceConfig(string Type, OptionList Options);

/// <summary>A virtual machine as the user asked for it: everything that <c>run</c> takes, checked for form but not yet against the host.</summary>
public sealed record MachineConfig
{
    /// <summary>The board.</summary>
    public BoardKind Board { get; init; } = BoardKind.Q35;

    /// <summary>Processors at start, 1 to 64.</summary>
    public int Cpus { get; init; } = 1;

    /// <summary>RAM in bytes; a multiple of 4 KiB.</summary>
    public ulong MemorySize { get; init; } = 512UL << 20;

    /// <summary>Back RAM with the host's huge pages.</summary>
    public bool HugePages { get; init; }

    /// <summary>The kernel to boot, bzImage or ELF with a PVH note: directly, or through <see cref="Firmware"/> (a bzImage).</summary>
    public string? Kernel { get; init; }

    /// <summary>The initial RAM file system for <see cref="Kernel"/>.</summary>
    public string? Initramfs { get; init; }

    /// <summary>The kernel's command line.</summary>
    public string CommandLine { get; init; } = "";

    /// <summary>An image that ends at 4 GiB and is started at the reset vector.</summary>
    public string? Firmware { get; init; }

    /// <summary>Where <see cref="Firmware"/> keeps its variables: a flash bank below it; null for none.</summary>
    public FirmwareVariables? Variables { get; init; }

    /// <summary>Whether firmware offers its boot menu, and how long it waits there; null for no menu.</summary>
    public TimeSpan? BootMenu { get; init; }

    /// <summary>What the first serial port is connected to.</summary>
    public SerialKind Serial { get; init; } = SerialKind.Tty;

    /// <summary>The file of <see cref="SerialKind.File"/>.</summary>
    public string? SerialPath { get; init; }

    /// <summary>Where events go as JSON lines, or null.</summary>
    public string? EventsPath { get; init; }

    /// <summary>Where the display's picture goes at the end, or null.</summary>
    public string? ScreenshotPath { get; init; }

    /// <summary>Where the control channel's socket is made, or null for none.</summary>
    public string? ControlPath { get; init; }

    /// <summary>How to run.</summary>
    public AccelKind Accel { get; init; } = AccelKind.Auto;

    /// <summary>The host bridge's 64-bit window, or null to let placement choose.</summary>
    public AddressRange? MmioWindow { get; init; }

    /// <summary>The host bridge's 32-bit window, or null to let placement choose.</summary>
    public AddressRange? Mmio32Window { get; init; }

    /// <summary>The guest's physical address bits, or null for the host's.</summary>
    public int? PhysicalAddressBits { get; init; }

    /// <summary>Root ports in the order given.</summary>
    public IReadOnlyList<RootPortConfig> RootPorts { get; init; } = [];

    /// <summary>Switches in the order given.</summary>
    public IReadOnlyList<SwitchConfig> Switches { get; init; } = [];

    /// <summary>Devices in the order given.</summary>
    public IReadOnlyList<DeviceConfig> Devices { get; init; } = [];

    /// <summary>The host functions whose topology the guest gets: <c>all</c> or addresses between commas; null for none.</summary>
    public string? Mirror { get; init; }

    /// <summary>The description of the machine that <see cref="Mirror"/> means, or null for this one.</summary>
    public string? HostPath { get; init; }

    /// <summary>How devices of the host are opened.</summary>
    public VfioPath Vfio { get; init; }

    /// <summary>True when the guest gets devices of the host.</summary>
    public bool Assigns => Mirror is not null || Devices.Any(d => d.Type == "vfio");

    /// <summary>What a guest's reset does: true starts it again, false ends the run.</summary>
    public bool Reboot { get; init; } = true;
}
