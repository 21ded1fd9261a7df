using Aperture.Configuration.Kinds;
using Aperture.Configuration.Options;
using Aperture.Pci;
using Aperture.Placement.Request;

namespace Aperture.Configuration;

/// <summary>
/// The options that describe a virtual machine, spelled as Cloud Hypervisor spells them where it has the option. Command line, configuration file, schema,
/// help and completion read this.
/// </summary>
public static class MachineOptions
{
    private const int MaxCpus = 64;
    private const ulong PageSize = 4096;

    // The board has RAM behind everything below 1 MiB, whose routing it programs (PAM).
    private const ulong LeastMemory = 1 << 20;

    private static readonly OptionTable<MachineConfig> CpuTable = new("--cpus", "cpus",
        [new("boot", "N", OptionShape.Count, $"processors at start, 1 to {MaxCpus}", (s, v) => s with { Cpus = v.Number(1, MaxCpus) }) { Required = true }]);

    private static readonly OptionTable<MachineConfig> MemoryTable = new("--memory", "memory",
    [
        new("size", "SIZE", OptionShape.Size, "RAM, such as 512M or 4G", (s, v) => s with { MemorySize = MemorySize(v) }) { Required = true },
        new("hugepages", "on|off", OptionShape.OnOff, "back RAM with the host's huge pages (default off)", (s, v) => s with { HugePages = v.OnOff() }),
        new("shared", "auto|on|off", OptionShape.OneOf("auto", "on", "off"), "other processes can map it (default auto: when a vfio-user device is there)",
            (s, v) => s with { Sharing = Sharing(v) }),
    ]);

    private static readonly OptionTable<(bool Menu, int Wait)> BootTable = new("--boot", "boot",
    [
        new("menu", "on|off", OptionShape.OnOff, "the firmware offers its boot menu", (s, v) => s with { Menu = v.OnOff() }) { Required = true },
        new("wait", "MS", OptionShape.Count, "how long it waits there (default 2500)", (s, v) => s with { Wait = v.Number(0, ushort.MaxValue) }),
    ]);

    private static readonly OptionTable<RootPortConfig> RootPortTable = new("--root-port", "a root port",
    [
        new("id", "NAME", OptionShape.Name, "the name that devices refer to", (s, v) => s with { Id = v.Name() }) { Required = true },
        new("addr", "DD.F", OptionShape.Place, "its place on the root bus (default: the next free one)", (s, v) => s with { DeviceFunction = v.Place() }),
        .. PortRoomOptions.Entries<RootPortConfig>(s => s.Room, (s, room) => s with { Room = room }, mayPlace: true),
    ]);

    private static readonly OptionTable<SwitchConfig> SwitchTable = new("--switch", "a switch",
    [
        new("id", "NAME", OptionShape.Name, "its downstream ports are called NAME.0, NAME.1, ...", (s, v) => s with { Id = v.Name() }) { Required = true },
        new("port", "PORT", OptionShape.Name, "the root or downstream port it is plugged into", (s, v) => s with { Port = v.PortName() }) { Required = true },
        new("downstream", "N", OptionShape.Count, "downstream ports, 1 to 32 (default 1)", (s, v) => s with { DownstreamPorts = v.Number(1, 32) }),
        .. PortRoomOptions.Entries<SwitchConfig>(s => s.Room, (s, room) => s with { Room = room }, mayPlace: false),
    ]);

    /// <summary>All of them, in the order help shows them.</summary>
    public static IReadOnlyList<MachineOption> All { get; } =
    [
        new("--kernel", "FILE", OptionGroup.Boot, "boot this bzImage, or ELF with a PVH note or Multiboot header, directly or through --firmware",
            (c, s) => c with { Kernel = FileName(s) }) { Shape = OptionShape.File },
        new("--initramfs", "FILE", OptionGroup.Boot, "initial RAM file system for --kernel",
            (c, s) => c with { Initramfs = FileName(s) }) { Shape = OptionShape.File },
        new("--cmdline", "TEXT", OptionGroup.Boot, "command line for --kernel", (c, s) => c with { CommandLine = s.Text }),
        new("--firmware", "FILE[,vars=FILE[,template=FILE][,snapshot=on]]", OptionGroup.Boot,
            "image of up to 16 MiB, mapped to end at 4 GiB, started at the reset vector; with --kernel it starts that; vars= is UEFI's variable flash",
            Firmware) { Shape = OptionShape.File },
        new("--boot", "menu=on[,wait=MS]", OptionGroup.Boot, "the firmware offers its boot menu (default: it does not)",
            (c, s) => c with { BootMenu = BootMenu(s) })
        {
            MemberForm = MemberForm.Table, Table = BootTable,
        },
        new("--cpus", "boot=N", OptionGroup.Machine, "processors, 1 to 64 (default 1)", Cpus) { MemberForm = MemberForm.NumberOrTable, Table = CpuTable },
        new("--memory", "size=SIZE[,hugepages=on][,shared=on|off]", OptionGroup.Machine, "RAM, such as 512M or 4G (default 512M)", Memory)
        {
            MemberForm = MemberForm.SizeOrTable, Table = MemoryTable,
        },
        new("--machine", "q35|i440fx|virt", OptionGroup.Machine, "the board (default q35, on arm64 virt); i440fx has conventional PCI without ECAM and PCI "
            + "Express ports; virt is arm64's",
            (c, s) => c with { Board = Board(s.Text) })
        {
            Shape = OptionShape.OneOf("q35", "i440fx", "virt"),
        },
        new("--smm", "auto|on|off", OptionGroup.Machine, "system management mode, of a q35 (default auto: when the firmware does not start without)",
            (c, s) => c with { ManagementMode = ManagementMode(s.Text) })
        {
            Shape = OptionShape.OneOf("auto", "on", "off"),
        },
        new("--device", "KIND[,KEY=VALUE,...]", OptionGroup.Devices, "a device of one of these kinds",
            (c, s) => c with { Devices = [.. c.Devices, DeviceKinds.Read(s.List(hasHead: true))] })
        {
            Repeatable = true, Member = "devices", MemberForm = MemberForm.Devices,
        },
        new("--root-port", "id=ID[,KEY=VALUE,...]", OptionGroup.Devices, "a PCI Express root port, with room kept for devices that are attached later",
            (c, s) => c with { RootPorts = [.. c.RootPorts, RootPort(s)] })
        {
            Repeatable = true, Member = "root_ports", MemberForm = MemberForm.Tables, Table = RootPortTable,
        },
        new("--switch", "id=ID,port=PORT[,KEY=VALUE,...]", OptionGroup.Devices, "a switch below PORT, with downstream ports ID.0, ID.1, ... and the "
            + "room that each keeps",
            (c, s) => c with { Switches = [.. c.Switches, SwitchTable.Read(s.List(), new SwitchConfig("", "", 1), "--switch ")] })
        {
            Repeatable = true, Member = "switches", MemberForm = MemberForm.Tables, Table = SwitchTable,
        },
        new("--vfio", "auto|container|iommufd", OptionGroup.Devices, "how devices of the host are opened (default auto: iommufd where the kernel has it)",
            (c, s) => c with { Vfio = Vfio(s.Text) })
        {
            Shape = OptionShape.OneOf("auto", "container", "iommufd"),
        },
        new("--mirror", "all|A,B,...", OptionGroup.Devices, "give the guest these host functions at their host addresses, with the bridges above "
            + "them; all is for plan only",
            (c, s) => c with { Mirror = s.Text.Length > 0 ? s.Text : throw new ApertureException("--mirror needs functions: all, or addresses such "
                + "as 0000:3b:00.0 with commas between.") }),
        new("--host", "FILE", OptionGroup.Devices, "plan only: the machine that --mirror and vfio devices mean: a captured tree, an archive of one, "
            + "or an lspci dump (default: this machine)",
            (c, s) => c with { HostPath = FileName(s) }) { Shape = OptionShape.File },
        new("--mmio-window", "BASE:SIZE", OptionGroup.Map, "the host bridge's 64-bit window (default: chosen)",
            (c, s) => c with { MmioWindow = Window(s) }) { MemberForm = MemberForm.Window },
        new("--mmio32-window", "BASE:SIZE", OptionGroup.Map, "the host bridge's 32-bit window (default: chosen)",
            (c, s) => c with { Mmio32Window = Window(s) }) { MemberForm = MemberForm.Window },
        new("--pins", "handover|always", OptionGroup.Map, "under firmware: pins hold once the operating system takes over (default), or from power-on "
            + "(docs/firmware.md)",
            (c, s) => c with { Pins = Pins(s.Text) })
        {
            Shape = OptionShape.OneOf("handover", "always"),
        },
        new("--phys-bits", "N", OptionGroup.Map, "the guest's physical address bits, 32 to 52 (default: the host's, fewer under some firmware)",
            (c, s) => c with { PhysicalAddressBits = new OptionValue("", new OptionItem("--phys-bits", s.Text)).Number(32, 52) })
        {
            MemberForm = MemberForm.Number,
        },
        new("--serial", "tty|stdio|null|file=PATH", OptionGroup.Run, "where the first serial port goes (default tty)", (c, s) => Serial(c, s.Text))
        {
            Shape = new OptionShape("serial", ["tty", "stdio", "null", "off", "file="]),
        },
        new("--screenshot", "FILE", OptionGroup.Run, "write the display's picture at the end of the run, as PNG",
            (c, s) => c with { ScreenshotPath = FileName(s) }) { Shape = OptionShape.File },
        new("--events", "FILE", OptionGroup.Run, "write events as JSON lines", (c, s) => c with { EventsPath = FileName(s) }) { Shape = OptionShape.File },
        new("--control", "PATH", OptionGroup.Run, "listen there for aperture verify, attach and detach (docs/run.md)",
            (c, s) => c with { ControlPath = FileName(s) }) { Shape = OptionShape.File },
        new("--accel", "auto|kvm|lab", OptionGroup.Run, "auto uses KVM if it can run the guest, else the lab, and says so",
            (c, s) => c with { Accel = Accel(s.Text) })
        {
            Shape = OptionShape.OneOf("auto", "kvm", "lab"),
        },
        new("--no-reboot", null, OptionGroup.Run, "end when the guest resets",
            (c, _) => c with { Reboot = false }) { Member = "reboot", MemberForm = MemberForm.NotFlag },
    ];

    /// <summary>The option of this name, with its dashes; null when there is none.</summary>
    public static MachineOption? Find(string name) => All.FirstOrDefault(o => o.Name == name);

    private static MachineConfig Firmware(MachineConfig config, Setting setting)
    {
        (string image, FirmwareVariables? variables) = FirmwareVariables.Read(setting.Text);
        return config with { Firmware = FileName(new Setting(setting.Name, image)), Variables = variables };
    }

    private static TimeSpan? BootMenu(Setting setting)
    {
        (bool menu, int wait) = BootTable.Read(setting.List(), (false, 2500), "--boot ");
        return menu ? TimeSpan.FromMilliseconds(wait) : null;
    }

    private static string FileName(Setting setting) => setting.Text.Length > 0
        ? setting.Text
        : throw new ApertureException($"{setting.Name} needs a file name.");

    // A number alone is that of the processors at start.
    private static MachineConfig Cpus(MachineConfig config, Setting setting) =>
        CpuTable.Read(setting.List(setting.IsText && setting.Text.Length > 0 && setting.Text.All(char.IsAsciiDigit) ? "boot" : null), config, "--cpus ");

    private static MachineConfig Memory(MachineConfig config, Setting setting) => MemoryTable.Read(
        setting.List(setting.IsText && !setting.Text.Contains('=', StringComparison.Ordinal) ? "size" : null),
        config with { HugePages = false, Sharing = MemorySharing.Auto },
        "--memory ");

    private static MemorySharing Sharing(OptionValue value) => value.Text switch
    {
        "auto" => MemorySharing.Auto,
        "on" => MemorySharing.On,
        "off" => MemorySharing.Off,
        _ => throw value.Fault(" is not a choice for sharing RAM; write auto, on or off"),
    };

    private static ulong MemorySize(OptionValue value)
    {
        if (!ByteSize.TryParse(value.Text, out ulong bytes) || bytes == 0 || bytes % PageSize != 0)
        {
            throw value.Fault(" is not a RAM size: write a whole number of 4 KiB pages above 0, such as 512M or 4G");
        }

        return bytes >= LeastMemory ? bytes : throw value.Fault($" is too small: the board needs at least {ByteSize.Format(LeastMemory)}");
    }

    private static BoardKind Board(string value) => value switch
    {
        "q35" => BoardKind.Q35,
        "i440fx" => BoardKind.I440Fx,
        "virt" => BoardKind.Virt,
        _ => throw new ApertureException($"--machine {value} is not a board that can be built; write q35, i440fx or virt."),
    };

    private static ManagementModeKind ManagementMode(string value) => value switch
    {
        "auto" => ManagementModeKind.Auto,
        "on" => ManagementModeKind.On,
        "off" => ManagementModeKind.Off,
        _ => throw new ApertureException($"--smm {value} is not a choice for system management mode; write auto, on or off."),
    };

    private static MachineConfig Serial(MachineConfig config, string value) => value switch
    {
        "tty" => config with { Serial = SerialKind.Tty, SerialPath = null },
        "stdio" => config with { Serial = SerialKind.Stdio, SerialPath = null },
        "null" or "off" => config with { Serial = SerialKind.Null, SerialPath = null },
        _ when value.StartsWith("file=", StringComparison.Ordinal) && value.Length > 5 =>
            config with { Serial = SerialKind.File, SerialPath = value[5..] },
        _ => throw new ApertureException($"--serial {value} is not a place for the serial port; write tty, stdio, null or file=PATH."),
    };

    private static AccelKind Accel(string value) => value switch
    {
        "auto" => AccelKind.Auto,
        "kvm" => AccelKind.Kvm,
        "lab" => AccelKind.Lab,
        _ => throw new ApertureException($"--accel {value} is not a way to run a guest; write auto, kvm or lab."),
    };

    private static PinTiming Pins(string value) => value switch
    {
        "handover" => PinTiming.Handover,
        "always" => PinTiming.Always,
        _ => throw new ApertureException($"--pins {value} is not a time from which pins hold; write handover or always."),
    };

    private static VfioPath Vfio(string value) => value switch
    {
        "auto" => VfioPath.Auto,
        "container" => VfioPath.Container,
        "iommufd" => VfioPath.Iommufd,
        _ => throw new ApertureException($"--vfio {value} is not a way to open devices; write auto, container or iommufd."),
    };

    private static AddressRange Window(Setting setting) => PinSyntax.TryParseWindow(setting.Text, out AddressRange window, out _)
        ? window
        : throw new ApertureException($"{setting.Name} {setting.Text} is not a window; write BASE:SIZE, such as 0x6b8000000000:512G.");

    private static RootPortConfig RootPort(Setting setting) => RootPortTable.Read(setting.List(), new RootPortConfig("", null), "--root-port ");
}
