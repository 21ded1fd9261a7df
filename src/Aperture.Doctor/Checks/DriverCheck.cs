using Aperture.Host.Model;

namespace Aperture.Doctor.Checks;

/// <summary>Which driver holds each device, and how vfio-pci gets it and keeps it.</summary>
internal static class DriverCheck
{
    private const string Name = "driver";

    internal static IEnumerable<Verdict> Look(Examination examination)
    {
        if (!examination.KnowsDrivers)
        {
            yield return new Verdict(VerdictKind.Unknown, Name, [], "Which drivers hold the devices is not known.",
                $"{examination.Host.Origin.Name} names no driver of any function")
            { Changes = ["lspci -k tells; " + examination.CaptureCommand] };
            yield break;
        }

        foreach (IGrouping<string, HostFunction> held in examination.Devices.GroupBy(static device => device.Driver ?? ""))
        {
            yield return Of(examination, held.Key, [.. held]);
        }

        foreach (HostFunction display in examination.Devices.Where(static device => device is { IsBootDisplay: true } && !IsVfio(device.Driver)))
        {
            yield return new Verdict(VerdictKind.Should, Name, [display.Address],
                $"{display.Address} is the display that the firmware started: the host's console and framebuffer use it, and keep its BARs busy.",
                $"{Examination.Place(display, "boot_vga")}=1")
            {
                Changes = ["choose another primary display in the firmware setup, or start the kernel with video=efifb:off (older than 6.2) or "
                    + "initcall_blacklist=sysfb_init"],
            };
        }
    }

    /// <summary>True for vfio-pci and the drivers made from it.</summary>
    internal static bool IsVfio(string? driver) => driver?.Contains("vfio", StringComparison.Ordinal) == true;

    /// <summary>The commands that give a function to vfio-pci now.</summary>
    internal static IEnumerable<string> Bind(HostFunction device)
    {
        yield return $"echo vfio-pci > {Examination.Place(device, "driver_override")}";
        if (device.Driver is not null)
        {
            yield return $"echo {device.Address} > {Examination.Place(device, "driver/unbind")}";
        }

        yield return $"echo {device.Address} > /sys/bus/pci/drivers_probe";
    }

    private static Verdict Of(Examination examination, string driver, List<HostFunction> devices)
    {
        string names = Examination.Names(devices);
        if (IsVfio(driver))
        {
            List<HostFunction> loose = devices.FindAll(device => !Stays(examination, device));
            return loose.Count == 0
                ? new Verdict(VerdictKind.Good, Name, Examination.Addresses(devices), $"{names}: held by {driver}, and again after the next start.",
                    Rules(examination))
                : new Verdict(VerdictKind.Note, Name, Examination.Addresses(devices),
                    $"{names}: held by {driver}; nothing was seen that binds it there again after the next start.",
                    $"{Examination.Place(devices[0], "driver")} -> {driver}; {Rules(examination)}")
                { Changes = [Keep(loose)] };
        }

        string seen = driver.Length == 0 ? $"{Examination.Place(devices[0], "driver")} is not there"
            : $"{Examination.Place(devices[0], "driver")} -> {driver}";
        return new Verdict(VerdictKind.Should, Name, Examination.Addresses(devices),
            driver.Length == 0
                ? $"{names}: held by no driver; vfio-pci has to take {It(devices)}."
                : $"{names}: held by the host's driver {driver}; vfio-pci has to take {It(devices)}.",
            seen)
        {
            Changes =
            [
                $"now: modprobe vfio-pci; {Now(devices)}", Keep(devices), ById(devices),
            ],
        };
    }

    private static string It(List<HostFunction> devices) => devices.Count == 1 ? "it" : "them";

    private static string Keep(List<HostFunction> devices) => devices.Count == 1
        ? $"so that it stays: driverctl set-override {devices[0].Address} vfio-pci"
        : $"so that it stays: {Loop(devices, "driverctl set-override $d vfio-pci")}";

    private static string ById(List<HostFunction> devices)
    {
        string ids = string.Join(',', devices.Select(static device => $"{device.Identity.Vendor:x4}:{device.Identity.Device:x4}").Distinct());
        string before = devices[0].Driver is { } driver ? $"; echo 'softdep {driver} pre: vfio-pci' >> /etc/modprobe.d/vfio.conf" : "";
        return $"or by id, for all that have it: echo 'options vfio-pci ids={ids}' >> /etc/modprobe.d/vfio.conf{before}; update-initramfs -u";
    }

    private static string Now(List<HostFunction> devices) => devices.Count == 1
        ? string.Join("; ", Bind(devices[0]))
        : Loop(devices, "cd /sys/bus/pci/devices/$d; echo vfio-pci > driver_override; "
            + $"{(devices[0].Driver is null ? "" : "echo $d > driver/unbind; ")}echo $d > /sys/bus/pci/drivers_probe");

    private static string Loop(List<HostFunction> devices, string each) =>
        $"for d in {string.Join(' ', devices.Select(static device => device.Address))}; do {each}; done";

    private static bool Stays(Examination examination, HostFunction device)
    {
        string id = $"{device.Identity.Vendor:x4}:{device.Identity.Device:x4}";
        return (examination.System.ModuleRules ?? []).Any(rule => rule.Contains("ids=", StringComparison.Ordinal) && rule.Contains(id,
            StringComparison.OrdinalIgnoreCase))
            || (examination.System.KernelParameters ?? []).Any(word => word.StartsWith("vfio-pci.ids=", StringComparison.Ordinal)
                && word.Contains(id, StringComparison.OrdinalIgnoreCase));
    }

    private static string Rules(Examination examination) => examination.System.ModuleRules switch
    {
        null => "the rules of /etc/modprobe.d are not part of the description",
        { IsEmpty: true } => "no rule in /etc/modprobe.d names it",
        { } rules => $"/etc/modprobe.d/{Examination.Some([.. rules], 2)}",
    };
}
