using System.Collections.Immutable;
using Aperture.Host.Model;
using Aperture.Pci;

namespace Aperture.Doctor.Checks;

/// <summary>Whether VFs can be made: the capability, addresses and bus numbers for them, and a driver that makes them (PCI Express 5.0, section
/// 9.3.3).</summary>
internal static class VirtualFunctionCheck
{
    private const string Name = "sriov";

    internal static IEnumerable<Verdict> Look(Examination examination)
    {
        List<HostFunction> able = [.. examination.Devices.Where(DeviceClasses.MakesVfs)];
        List<HostFunction> unable = [.. examination.Devices.Where(static device => !DeviceClasses.MakesVfs(device) && !device.IsVirtualFunction)];

        // sysfs tells without root, in a file of its own, which a capture may leave out.
        bool told = examination.IsLive || examination.Host.Functions.Any(static function => function.Sriov is not null);
        List<HostFunction> dark = unable.FindAll(device => !told && !device.KnowsExtendedConfig);
        unable.RemoveAll(dark.Contains);
        if (dark.Count != 0)
        {
            yield return new Verdict(VerdictKind.Unknown, Name, Examination.Addresses(dark), $"{Examination.Names(dark)}: whether VFs can be made is "
                + "not known.",
                $"{dark[0].Config.Length} bytes of config; SR-IOV is past 256")
            { Changes = [examination.CaptureCommand], Decides = able.Count == 0 };
        }

        if (unable.Count != 0)
        {
            yield return new Verdict(able.Count == 0 && dark.Count == 0 ? VerdictKind.Cannot : VerdictKind.Note, Name, Examination.Addresses(unable),
                $"{Examination.Names(unable)}: no VFs can be made.", $"no SR-IOV capability, no {Examination.Place(unable[0], "sriov_totalvfs")}")
            {
                Changes = ["some devices have it turned off: look into the firmware setup (SR-IOV Support) and the device's own tool (mlxconfig, bnxtnvm)"],
            };
        }

        foreach (HostFunction device in able)
        {
            yield return Maker(device, device.Sriov!, examination.KnowsDrivers);
            if (Numbers(examination, device, device.Sriov!) is { } numbers)
            {
                yield return numbers;
            }

            if (Addresses(examination, device, device.Sriov!) is { } addresses)
            {
                yield return addresses;
            }
        }
    }

    private static Verdict Maker(HostFunction device, HostSriov sriov, bool knows)
    {
        string place = Examination.Place(device, "sriov_numvfs");
        string seen = $"sriov_totalvfs={sriov.TotalVfs}, sriov_numvfs={sriov.NumVfs}, driver {device.Driver ?? (knows ? "none" : "not told")}";
        ImmutableArray<string> make = [$"echo 0 > {Examination.Place(device, "sriov_drivers_autoprobe")}; echo {Math.Min(4, sriov.TotalVfs)} > {place}"];
        if (sriov.NumVfs > 0)
        {
            return new Verdict(VerdictKind.Good, Name, [device.Address], $"{device.Address} has {sriov.NumVfs} VFs and can have {sriov.TotalVfs}.", seen);
        }

        return (device.Driver, knows) switch
        {
            ({ } driver, _) when DriverCheck.IsVfio(driver) => new Verdict(VerdictKind.Should, Name, [device.Address],
                $"{device.Address} is with {driver}, which makes VFs only if it was loaded so, and whose VFs work only for who has its token.", seen)
            {
                Changes = ["give it back to its own driver; or: options vfio-pci enable_sriov=1 in /etc/modprobe.d/vfio.conf"],
            },
            (null, true) => new Verdict(VerdictKind.Cannot, Name, [device.Address], $"{device.Address} has no driver, and only a driver makes VFs.", seen)
            {
                Changes = ["modprobe its driver (or pci-pf-stub, for devices whose VFs need no help from their PF)"],
            },
            _ => new Verdict(VerdictKind.Should, Name, [device.Address], $"{device.Address} can have {sriov.TotalVfs} VFs and has none.",
                seen)
            { Changes = make },
        };
    }

    // The last VF's routing id (section 9.3.3.10), as far as offset and stride are told: the kernel shows them once, for the number that is set.
    private static Verdict? Numbers(Examination examination, HostFunction device, HostSriov sriov)
    {
        if (sriov is { FirstVfOffset: 0 } or { VfStride: 0, TotalVfs: > 1 } || device.Parent is not { } parent
            || examination.Host.Find(parent) is not { Bridge: { } bridge } port)
        {
            return null;
        }

        int last = device.Address.Bdf.RoutingId + sriov.FirstVfOffset + ((sriov.TotalVfs - 1) * sriov.VfStride);
        string seen = $"offset {sriov.FirstVfOffset}, stride {sriov.VfStride}: the last of {sriov.TotalVfs} is on bus {last >> 8:x2}; {port.Address} "
            + $"has buses {bridge.Secondary:x2} to {bridge.Subordinate:x2}";
        if (last >> 8 > bridge.Subordinate)
        {
            return new Verdict(VerdictKind.Should, Name, [device.Address], $"Not all {sriov.TotalVfs} VFs of {device.Address} have a bus number.", seen)
            {
                Changes = ["turn on SR-IOV Support in the firmware setup, or start the kernel with pci=assign-busses"],
            };
        }

        return port.Pcie?.AriForwarding == false && last >> 8 == device.Address.Bus && (last & 0xFF) > 7
            ? new Verdict(VerdictKind.Should, Name, [device.Address], $"VFs of {device.Address} past function 7 are not reached: the port above does "
                + "not forward by ARI.",
                $"{seen}; ARIFwd- at {port.Address}")
            { Changes = ["turn on ARI in the firmware setup, or use a slot below another port"] }
            : new Verdict(VerdictKind.Good, Name, [device.Address], $"Every VF of {device.Address} has a bus number.", seen);
    }

    private static Verdict? Addresses(Examination examination, HostFunction device, HostSriov sriov)
    {
        if (sriov.VfBars.IsEmpty)
        {
            return new Verdict(VerdictKind.Unknown, Name, [device.Address], $"Whether the VF BARs of {device.Address} have addresses is not known.",
                $"{device.Config.Length} bytes of config, and no VF BAR in resource")
            { Changes = [examination.CaptureCommand] };
        }

        // Those without an address are the bars check's.
        return sriov.VfBars.Any(static bar => bar.Address is null) ? null : new Verdict(VerdictKind.Good, Name, [device.Address],
            $"The VF BARs of {device.Address} have addresses for all {sriov.TotalVfs} VFs.", string.Join(", ", sriov.VfBars.Select(bar =>
                $"vf-{BarKinds.BarName(bar.Index)} {sriov.TotalVfs} x {ByteSize.Format(bar.Size)} at {bar.Address}")));
    }
}
