using Aperture.Host.Model;
using Aperture.Placement.Platforms;

namespace Aperture.Doctor.Checks;

/// <summary>Addresses that the devices' groups keep: those of type <c>direct</c> keep the whole device with the host.</summary>
internal static class ReservedCheck
{
    private const string Name = "reserved";

    internal static IEnumerable<Verdict> Look(Examination examination)
    {
        List<HostFunction> free = [];
        foreach (IGrouping<int, HostFunction> group in examination.Devices.Where(static device => device.IommuGroup is not null)
            .GroupBy(static device => device.IommuGroup!.Value).OrderBy(static group => group.Key))
        {
            List<HostFunction> devices = [.. group];
            List<HostReservedRegion> regions = [.. devices[0].ReservedRegions.Where(static region => !PlatformLimits.MessageWindow.Contains(region.Range))];
            if (regions.Count == 0 && devices[0].ReservedRegions.IsEmpty)
            {
                yield return new Verdict(VerdictKind.Unknown, Name, Examination.Addresses(devices),
                    $"{Examination.Names(devices)}: which addresses the firmware keeps for them is not known.",
                    $"no /sys/kernel/iommu_groups/{group.Key}/reserved_regions in {examination.Host.Origin.Name}")
                { Changes = [examination.CaptureCommand] };
            }
            else if (regions.Count == 0)
            {
                free.AddRange(devices);
            }
            else
            {
                yield return Of(examination, group.Key, devices, regions);
            }
        }

        if (free.Count != 0)
        {
            yield return new Verdict(VerdictKind.Good, Name, Examination.Addresses(free),
                $"{Examination.Names(free)}: the firmware keeps no memory for {(free.Count == 1 ? "it" : "them")}.",
                $"/sys/kernel/iommu_groups/{Examination.Some([.. free.Select(static device => $"{device.IommuGroup}").Distinct()], 6)}/reserved_regions: "
                    + "nothing but the MSI window");
        }
    }

    private static Verdict Of(Examination examination, int number, List<HostFunction> devices, List<HostReservedRegion> regions)
    {
        string names = Examination.Names(devices);
        string seen = $"/sys/kernel/iommu_groups/{number}/reserved_regions: "
            + Examination.Some([.. regions.Select(static region => $"{region.Range} {region.Type}")], 4);
        if (regions.Exists(static region => region.Type == "direct"))
        {
            return new Verdict(VerdictKind.Cannot, Name, Examination.Addresses(devices),
                $"{names}: the firmware itself uses the device's DMA (an RMRR on Intel, IVMD on AMD), so the kernel assigns it to nobody "
                    + "(\"ineligible for IOMMU domain attach\").",
                seen + Maker(examination.System.Firmware))
            {
                Changes = [Cure(examination.System.Firmware)],
            };
        }

        bool relaxable = regions.TrueForAll(static region => region.Type == "direct-relaxable");
        return new Verdict(relaxable ? VerdictKind.Good : VerdictKind.Note, Name, Examination.Addresses(devices),
            relaxable
                ? $"{names}: what the firmware keeps there it gives up when the device is assigned (USB keyboards at start, Intel's graphics)."
                : $"{names}: a guest has neither RAM nor BARs at these addresses; Aperture's plan keeps them free, QEMU does not.",
            seen);
    }

    private static bool IsProliant(HostFirmware? firmware) =>
        firmware is { Vendor: "HP" or "HPE" } && firmware.Product.Contains("ProLiant", StringComparison.Ordinal);

    private static string Maker(HostFirmware? firmware) =>
        IsProliant(firmware) ? $"; /sys/class/dmi/id/product_name={firmware!.Product}, known to keep RMRRs for every slot" : "";

    private static string Cure(HostFirmware? firmware) => IsProliant(firmware)
        ? "HPE advisory c04781229: take the slot out of the shared memory of the management controller with conrep, and update the firmware"
        : "in the firmware setup turn off what uses the device there (USB legacy support, the management controller's shared memory), or pass another device";
}
