using Aperture.Host.Model;

namespace Aperture.Doctor.Checks;

/// <summary>Address translation services of the devices: with them a device asks for a peer's address itself (PCI Express 5.0, section 10).</summary>
internal static class TranslationCheck
{
    private const string Name = "ats";

    internal static IEnumerable<Verdict> Look(Examination examination)
    {
        foreach (IGrouping<string, HostFunction> state in examination.Devices.GroupBy(Of).OrderBy(static state => state.Key))
        {
            List<HostFunction> devices = [.. state];
            string names = Examination.Names(devices);
            yield return state.Key switch
            {
                "on" => new Verdict(VerdictKind.Good, Name, Examination.Addresses(devices),
                    $"{names}: ATS is on; where every port has direct translated requests (DT) on, they go straight to a peer though the IOMMU decides.",
                    "ATS control, bit 15: Enable+"),
                "off" => new Verdict(VerdictKind.Note, Name, Examination.Addresses(devices),
                    $"{names}: ATS is there and off; the kernel turns it on when the device is assigned, unless it was started with pci=noats.",
                    $"ATS control, bit 15: Enable-{(NoAts(examination) ? "; /proc/cmdline has pci=noats" : "")}"),
                "none" => new Verdict(VerdictKind.Note, Name, Examination.Addresses(devices), $"{names}: no ATS, so redirected requests are always "
                    + "translated above.",
                    "no ATS capability in extended config"),
                _ => new Verdict(VerdictKind.Unknown, Name, Examination.Addresses(devices), $"{names}: whether there is ATS is not known.",
                    $"{devices[0].Config.Length} bytes of {Examination.Place(devices[0], "config")}; ATS is past 256")
                {
                    Changes = [examination.CaptureCommand],
                },
            };
        }
    }

    private static string Of(HostFunction device) =>
        device.Ats is { } ats ? ats.Enabled ? "on" : "off" : device.KnowsExtendedConfig ? "none" : "unknown";

    private static bool NoAts(Examination examination) => (examination.System.KernelParameters ?? []).Any(static word =>
        word.StartsWith("pci=", StringComparison.Ordinal) && word["pci=".Length..].Split(',').Contains("noats"));
}
