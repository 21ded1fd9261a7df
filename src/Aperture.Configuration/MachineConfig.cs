using System.Runtime.InteropServices;
using Aperture.Configuration.Kinds;
using Aperture.Pci;

namespace Aperture.Configuration;

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

/// <summary>Whether a machine has system management mode.</summary>
public enum ManagementModeKind : byte
{
    /// <summary>When its firmware does not start without.</summary>
    Auto,

    /// <summary>It does.</summary>
    On,

    /// <summary>It does not.</summary>
    Off,
}

/// <summary>Whether other processes can be given guest RAM, to map it.</summary>
public enum MemorySharing : byte
{
    /// <summary>When a device of the machine is served by another process.</summary>
    Auto,

    /// <summary>They can.</summary>
    On,

    /// <summary>It is this process's alone.</summary>
    Off,
}

/// <summary>A virtual machine as the user asked for it: everything that <c>run</c> takes, checked for form but not yet against the host.</summary>
public sealed record MachineConfig
{
    /// <summary>The board; that of this program's architecture unless the user says which.</summary>
    public BoardKind Board { get; init; } = RuntimeInformation.ProcessArchitecture == Architecture.Arm64 ? BoardKind.Virt : BoardKind.Q35;

    /// <summary>Processors at start, 1 to 64.</summary>
    public int Cpus { get; init; } = 1;

    /// <summary>RAM in bytes; a multiple of 4 KiB.</summary>
    public ulong MemorySize { get; init; } = 512UL << 20;

    /// <summary>Back RAM with the host's huge pages.</summary>
    public bool HugePages { get; init; }

    /// <summary>Whether RAM can be shared.</summary>
    public MemorySharing Sharing { get; init; }

    /// <summary>RAM is memory that other processes can map.</summary>
    public bool SharesMemory => Sharing == MemorySharing.On || (Sharing == MemorySharing.Auto && Devices.Any(d => d is VfioUserSpec));

    /// <summary>The kernel to boot, bzImage or ELF with a PVH note or a Multiboot header: directly, or through <see cref="Firmware"/> (a bzImage).</summary>
    public string? Kernel { get; init; }

    /// <summary>The initial RAM file system for <see cref="Kernel"/>.</summary>
    public string? Initramfs { get; init; }

    /// <summary>The kernel's command line.</summary>
    public string CommandLine { get; init; } = "";

    /// <summary>An image that ends at 4 GiB and is started at the reset vector.</summary>
    public string? Firmware { get; init; }

    /// <summary>Where <see cref="Firmware"/> keeps its variables: a flash bank below it; null for none.</summary>
    public FirmwareVariables? Variables { get; init; }

    /// <summary>System management mode.</summary>
    public ManagementModeKind ManagementMode { get; init; }

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

    /// <summary>From when on pins are in force under <see cref="Firmware"/>; null for the handover if anything is pinned.</summary>
    public PinTiming? Pins { get; init; }

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
    public IReadOnlyList<DeviceSpec> Devices { get; init; } = [];

    /// <summary>The host functions whose topology the guest gets: <c>all</c> or addresses between commas; null for none.</summary>
    public string? Mirror { get; init; }

    /// <summary>The description of the machine that <see cref="Mirror"/> means, or null for this one.</summary>
    public string? HostPath { get; init; }

    /// <summary>How devices of the host are opened.</summary>
    public VfioPath Vfio { get; init; }

    /// <summary>True when the guest gets devices of the host.</summary>
    public bool Assigns => Mirror is not null || Devices.Any(d => d is VfioSpec);

    /// <summary>What a guest's reset does: true starts it again, false ends the run.</summary>
    public bool Reboot { get; init; } = true;

    /// <summary>The files of the host that a run uses, those of its devices among them.</summary>
    public IEnumerable<HostFile> Files
    {
        get
        {
            string? kept = Variables is { Snapshot: true } snapshot ? snapshot.Path : null;
            foreach (string? read in new[] { Kernel, Initramfs, Firmware, Variables?.Template, HostPath, kept })
            {
                if (read is not null)
                {
                    yield return new(read, HostAccess.Read);
                }
            }

            foreach (string? written in new[] { EventsPath, SerialPath, ScreenshotPath, ControlPath, Variables is { Snapshot: false } own ? own.Path : null })
            {
                if (written is not null)
                {
                    yield return new(written, HostAccess.Write);
                }
            }

            foreach (HostFile file in Devices.SelectMany(d => d.Files))
            {
                yield return file;
            }
        }
    }
}
