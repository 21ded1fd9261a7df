using Aperture.Host.Model;

namespace Aperture.Doctor.Checks;

/// <summary>How each device can be reset: one that cannot comes to its guest as the last user left it.</summary>
internal static class ResetCheck
{
    private const string Name = "reset";

    internal static IEnumerable<Verdict> Look(Examination examination)
    {
        foreach (IGrouping<(Way Way, string Seen), HostFunction> alike in examination.Devices.GroupBy(device => Of(examination, device)))
        {
            List<HostFunction> devices = [.. alike];
            string names = Examination.Names(devices);
            yield return alike.Key.Way switch
            {
                Way.Own => new Verdict(VerdictKind.Good, Name, Examination.Addresses(devices), $"{names}: can be reset by {It(devices)}self.",
                    alike.Key.Seen),
                Way.Together => new Verdict(VerdictKind.Good, Name, Examination.Addresses(devices),
                    $"{names}: can be reset by resetting the bus, on which nothing else is.", alike.Key.Seen),
                Way.Bus => new Verdict(VerdictKind.Note, Name, Examination.Addresses(devices),
                    $"{names}: can be reset with the whole bus only, so everything on it has to be with the same guest, or idle with vfio-pci.",
                        alike.Key.Seen),
                Way.None => new Verdict(VerdictKind.Should, Name, Examination.Addresses(devices),
                    $"{names}: cannot be reset, so a guest finds {It(devices)} as the last user left {It(devices)}, and a second start often fails.",
                        alike.Key.Seen)
                {
                    Changes = ["pass every function of its bus together, or start the host anew between guests"],
                },
                _ => new Verdict(VerdictKind.Unknown, Name, Examination.Addresses(devices), $"{names}: how to reset {It(devices)} is not known.",
                    alike.Key.Seen)
                {
                    Changes = [examination.CaptureCommand],
                },
            };
        }
    }

    private static string It(List<HostFunction> devices) => devices.Count == 1 ? "it" : "them";

    private static (Way Way, string Seen) Of(Examination examination, HostFunction device)
    {
        if (device.ResetMethods is { } methods)
        {
            Way way = methods.IsEmpty ? Way.None : methods.All(static method => method is "bus" or "cxl_bus") ? Bus(examination, device) : Way.Own;
            return (way, $"/sys/bus/pci/devices/*/reset_method: {(methods.IsEmpty ? "empty" : string.Join(' ', methods))}");
        }

        if (device.Resets is { } resets)
        {
            return resets.FunctionLevel ? (Way.Own, "FLReset+ in the device capabilities (PCI Express or Advanced Features)")
                : resets.PowerState ? (Way.Own, "FLReset-; NoSoftRst- in the power management registers: D3hot resets it")
                : device.Parent is null ? (Way.None, "FLReset-, NoSoftRst+, and on a root bus, which cannot be reset")
                : Bus(examination, device) is var way && way == Way.Bus ? (way, "FLReset-, NoSoftRst+; other functions are on its bus")
                : (way, "FLReset-, NoSoftRst+; alone on its bus, or with nothing but what is looked at");
        }

        return (Way.NotTold, $"no reset_method, and {device.Config.Length} bytes of config, in {examination.Host.Origin.Name}");
    }

    private static Way Bus(Examination examination, HostFunction device) =>
        device.Parent is { } parent && examination.Host.Find(parent) is { } port
            && port.Children.All(child => examination.Devices.Any(other => other.Address == child)) ? Way.Together : Way.Bus;

    private enum Way : byte
    {
        Own,
        Together,
        Bus,
        None,
        NotTold,
    }
}
