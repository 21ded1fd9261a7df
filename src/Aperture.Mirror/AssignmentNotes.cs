using Aperture.Host.Model;

namespace Aperture.Mirror;

/// <summary>What keeps a host's kernel from giving devices to a guest, as far as a description tells it: to be known before the guest is started.</summary>
public static class AssignmentNotes
{
    // With these the kernel lets a group be assigned (drivers/vfio: a driver that does no DMA on its own).
    private static readonly string[] HarmlessDrivers = ["pcieport", "pci-stub"];

    /// <summary>A sentence for each thing that keeps one of <paramref name="functions"/> with the host.</summary>
    public static IReadOnlyList<string> For(HostMachine host, IReadOnlyList<HostFunction> functions)
    {
        ArgumentNullException.ThrowIfNull(host);
        ArgumentNullException.ThrowIfNull(functions);
        List<string> notes = [];
        foreach (IGrouping<int, HostFunction> group in functions.Where(function => function.IommuGroup is not null)
            .GroupBy(function => function.IommuGroup!.Value).OrderBy(group => group.Key))
        {
            string names = string.Join(", ", group.Select(function => function.Address));
            AddRegions(notes, names, group.Key, group.First());
            AddMembers(notes, host, names, group.Key, [.. group.Select(function => function.Address)]);
        }

        return notes;
    }

    // A region of type "direct" is one that the firmware needs mapped one to one whoever has the device (VT-d: RMRR; AMD: IVMD).
    private static void AddRegions(List<string> notes, string names, int group, HostFunction member)
    {
        List<HostReservedRegion> direct = [.. member.ReservedRegions.Where(region => region.Type == "direct")];
        if (direct.Count != 0)
        {
            notes.Add(
                $"The kernel does not assign {names}: the firmware keeps {string.Join(" and ", direct.Select(region => region.Range))} for IOMMU group "
                    + $"{group} (type direct; an RMRR on Intel's hosts), "
                + "which VT-d never gives up and other IOMMUs do not since Linux 6.6 (\"ineligible for IOMMU domain attach\"); turn off in the firmware setup "
                + "what uses the device there "
                + "(USB legacy support, shared memory of a management controller), or pass another device");
        }
    }

    private static void AddMembers(List<string> notes, HostMachine host, string names, int group, HashSet<PciAddress> passed)
    {
        List<HostFunction> held =
        [
            .. host.Functions.Where(function => function.IommuGroup == group && !passed.Contains(function.Address) && function.Driver is { } driver
                && Array.IndexOf(HarmlessDrivers, driver) < 0 && !driver.Contains("vfio", StringComparison.Ordinal)),
        ];
        if (held.Count != 0)
        {
            notes.Add(
                $"The kernel does not assign {names} while drivers of the host hold other devices of IOMMU group {group}: "
                + $"{string.Join(", ", held.Select(function => $"{function.Address} ({function.Driver})"))}; give these to vfio-pci too");
        }
    }
}
