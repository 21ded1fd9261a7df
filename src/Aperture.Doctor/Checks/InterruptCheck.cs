using Aperture.Host.Model;

namespace Aperture.Doctor.Checks;

/// <summary>Devices that have nothing but INTx, and who shares their line.</summary>
internal static class InterruptCheck
{
    private const string Name = "interrupts";

    internal static IEnumerable<Verdict> Look(Examination examination)
    {
        List<HostFunction> unknown = [.. examination.Devices.Where(static device => device.SignalsMessages is null)];
        List<HostFunction> messages = [.. examination.Devices.Where(static device => device.SignalsMessages == true)];
        foreach (HostFunction device in examination.Devices.Where(static device => device is { SignalsMessages: false, InterruptPin: > 0 }))
        {
            yield return Line(examination, device);
        }

        if (messages.Count != 0)
        {
            yield return new Verdict(VerdictKind.Good, Name, Examination.Addresses(messages),
                $"{Examination.Names(messages)}: MSI or MSI-X, so no line is shared.", "capability 0x05 or 0x11 in config");
        }

        if (unknown.Count != 0)
        {
            yield return new Verdict(VerdictKind.Unknown, Name, Examination.Addresses(unknown),
                $"{Examination.Names(unknown)}: whether there is more than INTx is not known.",
                $"{unknown[0].Config.Length} bytes of {Examination.Place(unknown[0], "config")}; capabilities begin past 64")
            {
                Changes = [examination.CaptureCommand],
            };
        }
    }

    private static Verdict Line(Examination examination, HostFunction device)
    {
        char pin = (char)('A' + device.InterruptPin!.Value - 1);
        List<HostFunction> sharing = device.Irq is null or 0 ? [] :
            [.. examination.Host.Functions.Where(other => other.Irq == device.Irq && other.Address != device.Address && other is { InterruptPin: > 0,
                Bridge: null })];
        string seen = $"{Examination.Place(device, "config")}: no MSI, INT{pin}#; {Examination.Place(device, "irq")}={device.Irq?.ToString() ?? "not told"}"
            + (sharing.Count == 0 ? "" : $", as of {Examination.Some([.. sharing.Select(GroupCheck.Describe)], 4)}");
        return sharing.Exists(static other => other.Driver is not null && !DriverCheck.IsVfio(other.Driver))
            ? new Verdict(VerdictKind.Should, Name, [device.Address],
                $"{device.Address} has INTx only and shares its line with devices of the host: vfio-pci takes it only if the device can mask INTx "
                    + "(command bit 10), and each interrupt of the others costs the guest a look.",
                seen)
            {
                Changes = [$"unbind the others (echo {sharing[0].Address} > {Examination.Place(sharing[0], "driver/unbind")}), or move the card to "
                    + "another slot"],
            }
            : new Verdict(VerdictKind.Note, Name, [device.Address], $"{device.Address} has INTx only; nobody else's driver uses its line.", seen);
    }
}
