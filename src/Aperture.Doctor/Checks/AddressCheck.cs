using Aperture.Host.Model;
using Aperture.Pci;

namespace Aperture.Doctor.Checks;

/// <summary>BARs without an address, and BARs and windows that contradict each other.</summary>
internal static class AddressCheck
{
    private const string Name = "bars";

    internal static IEnumerable<Verdict> Look(Examination examination)
    {
        // What is wrong with a bridge above is wrong for what is below.
        HashSet<PciAddress> counting =
            [.. examination.Devices.SelectMany(device => examination.Above(device).Append(device)).Select(static function => function.Address)];
        HashSet<PciAddress> odd = [];
        foreach (HostFinding finding in examination.Host.Findings.Where(finding => counting.Contains(finding.Function)))
        {
            if (Of(examination.Host.Find(finding.Function)!, finding) is { } verdict)
            {
                odd.Add(finding.Function);
                yield return verdict;
            }
        }

        List<HostFunction> well = [.. examination.Devices.Where(device => !odd.Contains(device.Address))];
        if (well.Count != 0)
        {
            yield return Rest(examination, well);
        }
    }

    private static Verdict? Of(HostFunction device, HostFinding finding)
    {
        // A finding about VF BARs names SR-IOV; it keeps nobody from the function itself.
        bool ofVfs = finding.Kind == HostFindingKind.NoAddress && finding.Text.StartsWith("SR-IOV", StringComparison.Ordinal);
        string seen = $"{Examination.Place(device, "resource")}: {Registers(device)}";
        return finding.Kind switch
        {
            HostFindingKind.NoAddress => new Verdict(VerdictKind.Cannot, Name, [device.Address], Sentence(finding), seen)
            {
                Goals = ofVfs ? Goals.Sriov : Goals.Assigning,
                Changes =
                [
                    "in the firmware setup turn on Above 4G Decoding (also: MMIO above 4 GiB) and raise MMIO High Size where there is such a setting",
                    "or start the kernel with pci=realloc=on, so that it places anew what the firmware could not",
                ],
            },
            HostFindingKind.Overlap or HostFindingKind.BarSize or HostFindingKind.Alignment =>
                new Verdict(VerdictKind.Cannot, Name, [device.Address], Sentence(finding), seen)
                {
                    Changes = ["the description contradicts itself: capture the machine anew; if it is so on the machine, update the firmware"],
                },
            HostFindingKind.OutsideWindow => new Verdict(VerdictKind.Should, Name, [device.Address], Sentence(finding), seen)
            {
                Changes = ["start the kernel with pci=realloc=on, or update the firmware: what is outside the windows above is not reached"],
            },
            _ => null,
        };
    }

    private static Verdict Rest(Examination examination, List<HostFunction> well)
    {
        List<HostFunction> blind = well.FindAll(static device => device.Bars.IsEmpty && device.Config.Length == 0);
        return blind.Count == well.Count
            ? new Verdict(VerdictKind.Unknown, Name, Examination.Addresses(blind), $"{Examination.Names(blind)}: the BARs are not known.",
                $"neither config nor resource in {examination.Host.Origin.Name}")
            { Changes = [examination.CaptureCommand], Decides = true }
            : new Verdict(VerdictKind.Good, Name, Examination.Addresses(well), $"{Examination.Names(well)}: every BAR has its address, inside the "
                + "windows above.",
                $"{Examination.Place(well[0], "resource")}: {Registers(well[0])}{(well.Count > 1 ? "; the others likewise" : "")}");
    }

    private static string Sentence(HostFinding finding) => char.ToUpperInvariant(finding.Text[0]) + finding.Text[1..].TrimEnd('.') + ".";

    private static string Registers(HostFunction device)
    {
        List<string> bars = [.. device.Bars.Where(static bar => bar.Kind.IsMemory()).Select(Examination.Describe)];
        bars.AddRange((device.Sriov?.VfBars ?? []).Select(bar =>
            $"vf-{BarKinds.BarName(bar.Index)} {device.Sriov!.TotalVfs} x {ByteSize.Format(bar.Size)} at {bar.Address?.ToString() ?? "no address"}"));
        return bars.Count == 0 ? "no memory BAR" : string.Join(", ", bars);
    }
}
