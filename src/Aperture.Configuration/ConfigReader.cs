using Aperture.Configuration.Kinds;
using Aperture.Configuration.Options;

namespace Aperture.Configuration;

/// <summary>Turns settings into a <see cref="MachineConfig"/>; each fault is one sentence that says what to write instead.</summary>
public static class ConfigReader
{
    /// <summary>Reads <paramref name="settings"/>, in the order they were given.</summary>
    /// <param name="settings">The options.</param>
    /// <param name="boots">The machine is to be started, so there must be something to start; false when only its address map is wanted.</param>
    /// <exception cref="ApertureException">A value is malformed, or two options exclude each other.</exception>
    public static MachineConfig Read(IEnumerable<Setting> settings, bool boots = true)
    {
        ArgumentNullException.ThrowIfNull(settings);
        MachineConfig config = settings.Aggregate(new MachineConfig(), Apply);
        Check(config, boots);
        return config;
    }

    /// <summary>One <c>--device</c> by itself, for a machine that runs.</summary>
    /// <exception cref="ApertureException">It is malformed, or no device that PCI has.</exception>
    public static PciDeviceSpec ReadDevice(string value)
    {
        DeviceSpec device = DeviceKinds.Read(OptionList.Parse("--device", value));
        return device as PciDeviceSpec ?? throw new ApertureException($"A {device.Kind.Word} device is a port of the board, which cannot come or go.");
    }

    /// <summary><paramref name="config"/> with one more option.</summary>
    internal static MachineConfig Apply(MachineConfig config, Setting setting) => MachineOptions.Find(setting.Name) is { } option
        ? option.Apply(config, setting)
        : throw new ApertureException($"{setting.Name} is not an option of a virtual machine.");

    private static void Check(MachineConfig config, bool boots)
    {
        if (config.HostPath is not null && !config.Assigns)
        {
            throw new ApertureException("--host names the machine that --mirror and --device vfio mean; give one of them too, such as --mirror all.");
        }

        if (config.ScreenshotPath is not null && !config.Devices.Any(d => d is VgaSpec))
        {
            throw new ApertureException("--screenshot needs a display; give --device vga too.");
        }

        if (config.BootMenu is not null && config.Firmware is null)
        {
            throw new ApertureException("--boot is for firmware; give --firmware FILE, or leave --boot out.");
        }

        if (config.Devices.Count(d => d is VgaSpec) > 1)
        {
            throw new ApertureException("--device vga is given twice; a PC has one VGA adapter.");
        }

        if (boots)
        {
            CheckStart(config);
        }
    }

    private static void CheckStart(MachineConfig config)
    {
        if (config.HostPath is not null)
        {
            throw new ApertureException("--host describes another machine, whose devices cannot be given to a guest here; aperture plan prints the "
                + "map that it would have there.");
        }

        if (config.Mirror == "all")
        {
            throw new ApertureException("--mirror all would take every device from this host; name the functions that the guest is to have, such as "
                + "--mirror 0000:3b:00.0,0000:5e:00.0.");
        }

        if (config.Kernel is null && config.Firmware is null)
        {
            throw new ApertureException("There is nothing to boot: give --kernel FILE (a bzImage, or an ELF for PVH or Multiboot) or --firmware FILE.");
        }

        if (config.Kernel is null && (config.Initramfs is not null || config.CommandLine.Length > 0))
        {
            throw new ApertureException("--initramfs and --cmdline go with --kernel; give it too, or let the firmware's boot loader have its own.");
        }
    }
}
