using Aperture.Host.Model;
using Aperture.Pci.Capabilities;

namespace Aperture.Doctor.Checks;

/// <summary>Access control of every port above the devices: where it is off, peers reach each other past the IOMMU and share a group.</summary>
internal static class AccessControlCheck
{
    private const string Name = "acs";

    // What isolates (Linux, drivers/pci: REQ_ACS_FLAGS).
    private const AcsControls Isolation =
        AcsControls.SourceValidation | AcsControls.RequestRedirect | AcsControls.CompletionRedirect | AcsControls.UpstreamForwarding;

    internal static IEnumerable<Verdict> Look(Examination examination)
    {
        IEnumerable<HostFunction> ports = examination.Devices.SelectMany(device => examination.Above(device)).DistinctBy(static port => port.Address)
            .Where(IsPort);
        foreach (IGrouping<State, HostFunction> state in ports.OrderBy(static port => port.Address).GroupBy(Of).OrderBy(static state => state.Key))
        {
            List<HostFunction> alike = [.. state];
            List<HostFunction> below = [.. examination.Devices.Where(device =>
                examination.Above(device).Any(bridge => alike.Exists(port => port.Address == bridge.Address)))];
            yield return Verdict(examination, state.Key, alike, below);
        }
    }

    private static Verdict Verdict(Examination examination, State state, List<HostFunction> ports, List<HostFunction> below)
    {
        string names = Examination.Names(ports);
        string seen = Examination.Some([.. ports.Select(Describe)], 3);
        bool shared = below.Exists(device => GroupCheck.IsShared(examination, device));
        VerdictKind missing = shared ? VerdictKind.Should : VerdictKind.Note;
        string so = shared ? "the group is shared for that" : "the kernel keeps the devices in groups of their own all the same";
        Verdict verdict = state switch
        {
            State.Lacking => new(missing, Name, [], $"{names}: no access control that could send requests between devices by the IOMMU; {so}.", seen)
            {
                Changes = shared ? ["put the device below a root port or switch that has ACS"] : [],
            },
            State.Off => new(missing, Name, [], $"{names}: access control is there and off; {so}.", seen)
            {
                Changes = shared
                    ? [$"turn ACS on in the firmware setup, or: pci=config_acs=xx111x1@{ports[0].Address} on the kernel's command line (Linux 6.11 or later)"]
                    : [],
            },
            State.On => new(VerdictKind.Good, Name, [], $"{names}: access control sends everything by the IOMMU.", seen),
            _ => new(VerdictKind.Unknown, Name, [], $"{names}: access control is not known, so neither is whether these ports isolate what is below.", seen)
            {
                Changes = [examination.CaptureCommand],
            },
        };
        return verdict with { Functions = Examination.Addresses(below) };
    }

    private static bool IsPort(HostFunction bridge) =>
        bridge.Pcie?.Type is HostPortType.RootPort or HostPortType.SwitchDownstream || (bridge.Pcie is null && !bridge.KnowsCapabilities);

    private static State Of(HostFunction port)
    {
        if (port.Acs is not { } acs)
        {
            return port.KnowsExtendedConfig ? State.Lacking : State.NotTold;
        }

        AcsControls wanted = Isolation & acs.Offered;
        return (wanted & AcsControls.RequestRedirect) == 0 ? State.Lacking : (acs.Enabled & wanted) == wanted ? State.On : State.Off;
    }

    private static string Describe(HostFunction port) => port.Acs is { } acs
        ? $"{port.Address} ACS control (ECAP_ACS+6) 0x{(int)acs.Enabled:x4}: {acs.Describe()}"
        : port.KnowsExtendedConfig ? $"{port.Address} has no ACS capability" : $"{port.Address}: {port.Config.Length} bytes of config, ACS is past 256";

    private enum State : byte
    {
        Lacking,
        Off,
        On,
        NotTold,
    }
}
