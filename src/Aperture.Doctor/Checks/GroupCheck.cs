using Aperture.Host.Model;

namespace Aperture.Doctor.Checks;

/// <summary>What else is in the devices' IOMMU groups: a group goes to one guest as a whole, or not at all (Linux,
/// Documentation/driver-api/vfio.rst).</summary>
internal static class GroupCheck
{
    private const string Name = "group";

    // With these the kernel lets a group be assigned: they do no DMA on their own (drivers/iommu, driver_managed_dma).
    private static readonly string[] HarmlessDrivers = ["pcieport", "pci-stub"];

    internal static IEnumerable<Verdict> Look(Examination examination)
    {
        HashSet<PciAddress> chosen = [.. examination.Devices.Select(static device => device.Address)];
        List<HostFunction> alone = [];
        foreach (IGrouping<int, HostFunction> group in examination.Devices.Where(static device => device.IommuGroup is not null)
            .GroupBy(static device => device.IommuGroup!.Value).OrderBy(static group => group.Key))
        {
            List<HostFunction> devices = [.. group];
            List<HostFunction> others = [.. Members(examination.Host, group.Key).Where(member => !chosen.Contains(member.Address))];
            if (devices.Count == 1 && !others.Exists(DeviceClasses.IsEndpoint))
            {
                alone.Add(devices[0]);
            }
            else
            {
                yield return Of(examination, group.Key, devices, others);
            }
        }

        if (alone.Count != 0)
        {
            yield return new Verdict(VerdictKind.Good, Name, Examination.Addresses(alone),
                $"{Examination.Names(alone)}: alone in {(alone.Count == 1 ? "its group" : "their groups")}, but for ports.",
                $"/sys/kernel/iommu_groups/{Examination.Some([.. alone.Select(static device => $"{device.IommuGroup}")], 6)}/devices");
        }
    }

    /// <summary>The other endpoints of a device's group.</summary>
    internal static bool IsShared(Examination examination, HostFunction device) => device.IommuGroup is { } group
        && Members(examination.Host, group).Any(member => member.Address != device.Address && DeviceClasses.IsEndpoint(member));

    private static IEnumerable<HostFunction> Members(HostMachine host, int number) =>
        (host.IommuGroups.FirstOrDefault(group => group.Number == number)?.Functions ?? []).Select(host.Find).OfType<HostFunction>();

    private static Verdict Of(Examination examination, int number, List<HostFunction> devices, List<HostFunction> others)
    {
        string names = Examination.Names(devices);
        string seen = $"/sys/kernel/iommu_groups/{number}/devices: "
            + Examination.Some([.. devices.Concat(others).OrderBy(static member => member.Address).Select(Describe)], 8);
        List<HostFunction> held = others.FindAll(static other =>
            other.Driver is { } driver && Array.IndexOf(HarmlessDrivers, driver) < 0 && !DriverCheck.IsVfio(driver));
        if (held.Count != 0)
        {
            return new Verdict(VerdictKind.Cannot, Name, Examination.Addresses(devices),
                $"{names} cannot be assigned while drivers of the host hold {Examination.Names(held)} of group {number}: a group goes as a whole.", seen)
            {
                Changes =
                [
                    $"if the host can do without {(held.Count == 1 ? "it" : "them")}: "
                        + string.Join("; ", held.Take(2).SelectMany(DriverCheck.Bind)) + (held.Count > 2 ? "; and so on" : ""),
                    "else put the device into a slot below another root port, or turn ACS on in the firmware setup, so that the groups part",
                ],
            };
        }

        List<HostFunction> idle = others.FindAll(DeviceClasses.IsEndpoint);
        string company = idle.Count == 0 ? "" : $" and {Examination.Names(idle)}, which no driver of the host may take,";
        return new Verdict(VerdictKind.Note, Name, Examination.Addresses(devices),
            $"{names}{company} {(devices.Count + idle.Count == 1 ? "is" : "are")} one group ({number}): to one guest, all of them.", seen);
    }

    /// <summary>A function with its driver.</summary>
    internal static string Describe(HostFunction function) => $"{function.Address} ({function.Driver ?? "no driver"})";
}
