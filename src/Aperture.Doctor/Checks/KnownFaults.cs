using Aperture.Host.Model;

namespace Aperture.Doctor.Checks;

/// <summary>A fault of firmware or hardware that an id tells of.</summary>
/// <param name="Applies">True for the functions that have it.</param>
/// <param name="Kind">What it means.</param>
/// <param name="Goals">For which goals.</param>
/// <param name="Means">The sentence that follows the function's address.</param>
/// <param name="Source">Where it is written down.</param>
/// <param name="Change">What to do; null where nothing has to be done.</param>
internal sealed record KnownFault(Func<HostFunction, bool> Applies, VerdictKind Kind, Goals Goals, string Means, string Source, string? Change);

/// <summary>Faults that are known by the ids of functions, each from the kernel's own table of quirks or from its users' driver for it.</summary>
internal static class KnownFaults
{
    private const string Name = "known-fault";

    private static readonly KnownFault[] Table =
    [
        new(static function => Is(function, 0x8086, 0x3403, 0x3405, 0x3406)
                && (function.Identity.Revision <= 0x13 || function.Identity is { Device: 0x3405, Revision: 0x22 }),
            VerdictKind.Cannot, Goals.All,
            "loses interrupts when they are remapped (Intel 5500, 5520 and X58), so the kernel turns remapping off and assigns no device",
            "arch/x86/kernel/early-quirks.c, intel_remapping_check",
            "another machine; or, where every guest is trusted: options vfio_iommu_type1 allow_unsafe_interrupts=1 in /etc/modprobe.d/vfio.conf"),
        new(static function => Is(function, 0x1022, 0x1487, 0x148C, 0x149C, 0x7901) || Is(function, 0x8086, 0x1502, 0x1503) || Is(function, 0x14C3, 0x0616),
            VerdictKind.Note, Goals.Assigning, "claims a function level reset and hangs in it; kernels know and use another",
                "drivers/pci/quirks.c, quirk_no_flr",
            null),
        new(static function => Is(function, 0x168C, 0x0030, 0x0032, 0x0033, 0x0034, 0x003C, 0x003E),
            VerdictKind.Note, Goals.Assigning, "does not come back from a bus reset; kernels know and never do one",
                "drivers/pci/quirks.c, quirk_no_bus_reset", null),
        new(static function => function.Identity.Vendor == 0x10DE && (function.Identity.Device & 0xFFC0) == 0x2340,
            VerdictKind.Note, Goals.Assigning, "does not come back from a bus reset; kernels know and use its own reset",
                "drivers/pci/quirks.c, quirk_nvidia_no_bus_reset",
            null),
        new(static function => IsAmdDisplay(function) && ResetsBadly(function.Identity.Device),
            VerdictKind.Should, Goals.Assigning, "is one of AMD's GPUs (Polaris, Vega, Navi 1x) that often do not come back from a reset: the second "
                + "start of a guest hangs",
            "the table of the vendor-reset module", "install the vendor-reset module, then: echo device_specific > "
                + "/sys/bus/pci/devices/ADDRESS/reset_method"),
        new(static function => IsAmdDisplay(function) && function.Identity.Device is >= 0x7310 and <= 0x731F or >= 0x7340 and <= 0x734F
                && function.Identity.Vendor == 0x1002,
            VerdictKind.Note, Goals.P2p | Goals.GpuDirect, "has ATS that does not work; kernels know and leave it off",
                "drivers/pci/quirks.c, quirk_amd_harvest_no_ats",
            null),
        new(static function => Is(function, 0x1B4B, 0x9120, 0x9123, 0x9128, 0x9130, 0x9170, 0x9172, 0x917A, 0x9182, 0x9183, 0x91A0, 0x9215, 0x9220, 0x9230,
            0x9235),
            VerdictKind.Note, Goals.Assigning, "sends DMA in the name of function 1, which it does not have; kernels know and put both into one group",
            "drivers/pci/quirks.c, quirk_dma_func1_alias", null),
    ];

    internal static IEnumerable<Verdict> Look(Examination examination)
    {
        HashSet<PciAddress> counting = [.. examination.Devices.Select(static device => device.Address)];
        foreach (HostFunction function in examination.Host.Functions)
        {
            // Of a chipset's fault every device is a victim; any other is the device's own.
            bool chipset = function.Identity.ClassCode >> 16 == 0x06;
            foreach (KnownFault fault in Table.Where(fault => (chipset || counting.Contains(function.Address)) && fault.Applies(function)))
            {
                yield return new Verdict(fault.Kind, Name, [function.Address], $"{function.Address} {fault.Means}.",
                    $"{function.Identity.Vendor:x4}:{function.Identity.Device:x4} revision {function.Identity.Revision:x2}; {fault.Source}")
                {
                    Goals = fault.Goals,
                    Changes = fault.Change is { } change ? [change.Replace("ADDRESS", function.Address.ToString(), StringComparison.Ordinal)] : [],
                };
            }
        }
    }

    private static bool Is(HostFunction function, ushort vendor, params ReadOnlySpan<ushort> devices) =>
        function.Identity.Vendor == vendor && devices.Contains(function.Identity.Device);

    private static bool IsAmdDisplay(HostFunction function) => function.Identity.Vendor == 0x1002 && function.Identity.ClassCode >> 16 == 0x03;

    private static bool ResetsBadly(ushort device) => device is >= 0x67C0 and <= 0x67FF or 0x6FDF or >= 0x6980 and <= 0x699F or >= 0x6860 and <= 0x687F
        or >= 0x69A0 and <= 0x69AF or >= 0x66A0 and <= 0x66AF or >= 0x7310 and <= 0x731F or >= 0x7340 and <= 0x734F or 0x7360 or 0x7362;
}
