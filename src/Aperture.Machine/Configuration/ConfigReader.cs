using System.Globalization;
using Aperture.Firmware.Platform;
using Aperture.Machine.Assigned;
using Aperture.Placement.Request;
using Aperture.Vfio;

namespace Aperture.Machine.Configuration;

/// <summary>Turns option values into a <see cref="MachineConfig"/>; each fault is one sentence that says what to write instead.</summary>
public static class ConfigReader
{
    private const int MaxCpus = 64;
    private const ulong PageSize = 4096;

    // The board has RAM behind everything below 1 MiB, whose routing it programs (PAM).
    private const ulong LeastMemory = 1 << 20;

    /// <summary>Reads the options in <paramref name="values"/> (name with dashes, value), in the order they were given.</summary>
    /// <param name="values">The options.</param>
    /// <param name="boots">The machine is to be started, so there must be something to start; false when only its address map is wanted.</param>
    /// <exception cref="ApertureException">A value is malformed, or two options exclude each other.</exception>
    public static MachineConfig Read(IEnumerable<KeyValuePair<string, string>> values, bool boots = true)
    {
        MachineConfig config = new();
        foreach ((string name, string value) in values)
        {
            config = Apply(config, name, value);
        }

        Check(config, boots);
        return config;
    }

    /// <summary><paramref name="config"/> with one more option.</summary>
    internal static MachineConfig Apply(MachineConfig config, string name, string value) => name switch
    {
        "--kernel" => config with { Kernel = Path(name, value) },
        "--initramfs" => config with { Initramfs = Path(name, value) },
        "--cmdline" => config with { CommandLine = value },
        "--firmware" => Firmware(config, value),
        "--boot" => config with { BootMenu = BootMenu(value) },
        "--cpus" => config with { Cpus = Cpus(value) },
        "--memory" => Memory(config, value),
        "--machine" => config with { Board = Machine(value) },
        "--serial" => Serial(config, value),
        "--screenshot" => config with { ScreenshotPath = Path(name, value) },
        "--events" => config with { EventsPath = Path(name, value) },
        "--control" => config with { ControlPath = Path(name, value) },
        "--accel" => config with { Accel = Accel(value) },
        "--mmio-window" => config with { MmioWindow = Window(name, value) },
        "--mmio32-window" => config with { Mmio32Window = Window(name, value) },
        "--phys-bits" => config with { PhysicalAddressBits = Number(name, value, 32, 52) },
        "--root-port" => config with { RootPorts = [.. config.RootPorts, RootPort(value)] },
        "--switch" => config with { Switches = [.. config.Switches, Switch(value)] },
        "--device" => config with { Devices = [.. config.Devices, Device(value)] },
        "--mirror" => config with { Mirror = value.Length > 0 ? value : throw new ApertureException("--mirror needs functions: all, or addresses such as 0000:3b:00.0 with commas between.") },
        "--vfio" => config with { Vfio = Vfio(value) },
        "--host" => config with { HostPath = Path(name, value) },
        "--no-reboot" => config with { Reboot = false },
        _ => throw new ApertureException($"{name} is not an option of a virtual machine."),
    };

    private static void Check(MachineConfig config, bool boots)
    {
        if (config.HostPath is not null && !config.Assigns)
        {
            throw new ApertureException("--host names the machine that --mirror and --device vfio mean; give one of them too, such as --mirror all.");
        }

        if (boots && config.HostPath is not null)
        {
            throw new ApertureException("--host describes another machine, whose devices cannot be given to a guest here; aperture plan prints the map that it would have there.");
        }

        if (boots && config.Mirror == "all")
        {
            throw new ApertureException("--mirror all would take every device from this host; name the functions that the guest is to have, such as --mirror 0000:3b:00.0,0000:5e:00.0.");
        }

        if (boots && config.Kernel is null && config.Firmware is null)
        {
            throw new ApertureException("There is nothing to boot: give --kernel FILE (a bzImage or a PVH ELF) or --firmware FILE.");
        }

        if (boots && config.Kernel is null && (config.Initramfs is not null || config.CommandLine.Length > 0))
        {
            throw new ApertureException("--initramfs and --cmdline go with --kernel; give it too, or let the firmware's boot loader have its own.");
        }

        if (config.ScreenshotPath is not null && !config.Devices.Any(d => d.Type == "vga"))
        {
            throw new ApertureException("--screenshot needs a display; give --device vga too.");
        }

        if (config.BootMenu is not null && config.Firmware is null)
        {
            throw new ApertureException("--boot is for firmware; give --firmware FILE, or leave --boot out.");
        }
    }

    private static MachineConfig Firmware(MachineConfig config, string value)
    {
        (string image, FirmwareVariables? variables) = FirmwareVariables.Read(value);
        return config with { Firmware = Path("--firmware", image), Variables = variables };
    }

    private static TimeSpan? BootMenu(string value)
    {
        OptionList list = Items("--boot", value);
        list.AllowOnly("menu", "wait");
        bool menu = Switch("--boot menu=", list.Require("menu"));
        int wait = Number("--boot wait=", list.Find("wait") ?? "2500", 0, ushort.MaxValue);
        return menu ? TimeSpan.FromMilliseconds(wait) : null;
    }

    private static string Path(string name, string value) => value.Length > 0
        ? value
        : throw new ApertureException($"{name} needs a file name.");

    private static int Cpus(string value)
    {
        if (int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out _))
        {
            value = "boot=" + value;
        }

        OptionList list = Items("--cpus", value);
        list.AllowOnly("boot");
        return Number("--cpus boot=", list.Require("boot"), 1, MaxCpus);
    }

    private static MachineConfig Memory(MachineConfig config, string value)
    {
        OptionList list = Items("--memory", value.Contains('=', StringComparison.Ordinal) ? value : "size=" + value);
        list.AllowOnly("size", "hugepages");
        string size = list.Require("size");
        if (!ByteSize.TryParse(size, out ulong bytes) || bytes == 0 || bytes % PageSize != 0)
        {
            throw new ApertureException($"--memory size={size} is not a RAM size: write a whole number of 4 KiB pages above 0, such as 512M or 4G.");
        }

        if (bytes < LeastMemory)
        {
            throw new ApertureException($"--memory size={size} is too small: the board needs at least {ByteSize.Format(LeastMemory)}.");
        }

        string? huge = list.Find("hugepages");
        return config with { MemorySize = bytes, HugePages = huge is not null && Switch("--memory hugepages=", huge) };
    }

    private static OptionList Items(string option, string value)
    {
        OptionList list = OptionList.Parse(option, value);
        return list.Head.Length == 0
            ? list
            : throw new ApertureException($"{option}: '{list.Head}' in '{value}' is not KEY=VALUE.");
    }

    private static BoardKind Machine(string value) => value switch
    {
        "q35" => BoardKind.Q35,
        "i440fx" => BoardKind.I440Fx,
        _ => throw new ApertureException($"--machine {value} is not a board that can be built; write q35 or i440fx."),
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

    private static VfioPath Vfio(string value) => value switch
    {
        "auto" => VfioPath.Auto,
        "container" => VfioPath.Container,
        "iommufd" => VfioPath.Iommufd,
        _ => throw new ApertureException($"--vfio {value} is not a way to open devices; write auto, container or iommufd."),
    };

    private static AddressRange Window(string name, string value) => PinSyntax.TryParseWindow(value, out AddressRange window, out _)
        ? window
        : throw new ApertureException($"{name} {value} is not a window; write BASE:SIZE, such as 0x6b8000000000:512G.");

    private static RootPortConfig RootPort(string value)
    {
        OptionList list = Items("--root-port", value);
        list.AllowOnly("id", "addr", "memory", "prefetchable", "io", "buses");
        return new RootPortConfig(list.Require("id"), DeviceFunction(list)) { Room = PortRoomOptions.Read(list, mayPlace: true) };
    }

    private static SwitchConfig Switch(string value)
    {
        OptionList list = Items("--switch", value);
        list.AllowOnly("id", "port", "downstream", "memory", "prefetchable", "io", "buses");
        return new SwitchConfig(list.Require("id"), list.Require("port"), Number("--switch downstream=", list.Find("downstream") ?? "1", 1, 32))
        {
            Room = PortRoomOptions.Read(list, mayPlace: false),
        };
    }

    /// <summary>One <c>--device</c> by itself.</summary>
    /// <exception cref="ApertureException">It is malformed, or no device that PCI has.</exception>
    internal static DeviceConfig ReadDevice(string value) => Device(value) is { Type: not "debug-exit" } device
        ? device
        : throw new ApertureException("A debug-exit device is a port of the board, which cannot come or go.");

    private static DeviceConfig Device(string value)
    {
        OptionList list = OptionList.Parse("--device", value);
        if (DeviceTypes.Find(list.Head) is null)
        {
            throw new ApertureException($"--device {value}: '{list.Head}' is not a device; write {DeviceTypes.Examples}.");
        }

        DeviceConfig device = new(list.Head, list);
        if (device.Type == "vfio")
        {
            VfioDeviceOptions.Read(device);
        }

        return device;
    }

    private static byte? DeviceFunction(OptionList list)
    {
        string? text = list.Find("addr");
        if (text is null)
        {
            return null;
        }

        return Bdf.TryParseDeviceFunction(text, out byte place)
            ? place
            : throw new ApertureException($"{list.Option} addr={text} is not a place on a bus; write DEVICE.FUNCTION in hexadecimal, such as 04.0.");
    }

    private static bool Switch(string name, string value) => value switch
    {
        "on" => true,
        "off" => false,
        _ => throw new ApertureException($"{name}{value}: write on or off."),
    };

    private static int Number(string name, string value, int low, int high) =>
        int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out int number) && number >= low && number <= high
            ? number
            : throw new ApertureException($"{name.TrimEnd('=')} {value} is out of range: write a number from {low} to {high}.");
}
