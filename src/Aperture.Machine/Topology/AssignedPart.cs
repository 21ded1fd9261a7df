using Aperture.Assignment;
using Aperture.Configuration.Kinds;
using Aperture.Host.Model;
using Aperture.Machine.Assigned;
using Aperture.Pci;
using Aperture.Placement.Request;

namespace Aperture.Machine.Topology;

/// <summary>A device that the guest drives itself at its place in the guest's tree: what the user asked for and what there is.</summary>
/// <param name="Spec">The user's wishes.</param>
/// <param name="Host">The device, when it is a PCI function of the host.</param>
/// <param name="Bars">The BARs that the guest will find, with the pins that follow from the wishes.</param>
public sealed record AssignedPart(AssignedSpec Spec, HostFunction? Host, IReadOnlyList<BarDemand> Bars)
{
    /// <summary>The device, when it is a mediated one of the host.</summary>
    public MediatedDevice? Mediated { get; init; }

    /// <summary>The device, when another process serves it. It is one of the three.</summary>
    public VfioUserSpec? Served => Spec as VfioUserSpec;

    /// <summary>Which of its AtomicOps reach the host's memory.</summary>
    public AtomicOps Atomics { get; init; }

    /// <summary>What messages and the map call it.</summary>
    public string Name => Spec.Id ?? (Served is { } served ? ServedResolver.NameOf(served) : HostName);

    /// <summary>What the host calls it: its address, its UUID, or its server's socket.</summary>
    public string HostName => Host?.Address.ToString() ?? Mediated?.Name ?? Served!.Socket;

    /// <summary>The host's address of a BAR, or null when it has none.</summary>
    public GuestAddress? HostAddressOf(int index) => Host?.AllBars.FirstOrDefault(b => b.Index == index)?.Address;
}

/// <summary>Finds the devices that the user named on the host, and what they ask of the address map.</summary>
/// <param name="host">The host, live or described.</param>
/// <param name="openMediated">Reads the BARs of a mediated device.</param>
internal sealed class AssignedResolver(HostMachine host, Func<MediatedDevice, IReadOnlyList<DeviceBar>> openMediated)
{
    private readonly Dictionary<PciAddress, string> _taken = [];
    private readonly HashSet<string> _takenMediated = [];

    /// <summary>The part for <paramref name="spec"/>.</summary>
    /// <exception cref="ApertureException">The host has no such function, or it cannot be given to a guest as asked.</exception>
    public AssignedPart Resolve(VfioSpec spec)
    {
        NamedDevice device = SysfsDevice.Find(spec.Device);
        if (device.Mediated is { } mediated)
        {
            return Resolve(spec, mediated);
        }

        PciAddress address = device.Function!.Value;
        HostFunction function = host.Find(address) ?? throw Missing(spec, address);
        string name = spec.Id ?? address.ToString();
        if (!_taken.TryAdd(address, name))
        {
            throw Twice(address);
        }

        Check(function);
        BarsOnHost bars = new(address.ToString(), function.Bars.Where(b => b.Size != 0 && !b.Fixed), function.Rom, function.ResizableBars);
        return new AssignedPart(spec, function, AssignedBars.Of(name, spec, bars)) { Atomics = AtomicPath.Of(host, function) };
    }

    private AssignedPart Resolve(VfioSpec spec, MediatedDevice device)
    {
        string name = spec.Id ?? device.Name;
        if (!_takenMediated.Add(device.Name))
        {
            throw new ApertureException($"{device.Name} is given to the guest twice; a mediated device can be passed once, so name it once in --device vfio.");
        }

        if (spec.AllAsHost)
        {
            throw new ApertureException(
                $"{name} has no addresses on the host, which a mediated device's BARs never have; give them some with bars=barN@ADDRESS, or leave bars= out.");
        }

        BarsOnHost found = BarsOnHost.Opened(device.Name, openMediated(device));
        return new AssignedPart(spec, null, AssignedBars.Of(name, spec, found)) { Mediated = device };
    }

    /// <summary>What to say of a function that is named twice.</summary>
    public static ApertureException Twice(PciAddress address) =>
        new($"{address} is given to the guest twice; a function can be passed once, so name it once in --device vfio and --mirror.");

    private void Check(HostFunction function)
    {
        if (function.Bridge is not null)
        {
            throw new ApertureException(
                $"{function.Address} is a bridge, which stays with the host; pass the functions below it, or --mirror {function.Address} for all of them below "
                    + "bridges like the host's.");
        }

        foreach (HostFunction other in _taken.Keys.Select(a => host.Find(a)!))
        {
            if (other.PhysicalFunction == function.Address || function.PhysicalFunction == other.Address)
            {
                (HostFunction vf, HostFunction pf) = other.IsVirtualFunction ? (other, function) : (function, other);
                throw new ApertureException(
                    $"{vf.Address} is a VF of {pf.Address}, which is passed too: whoever owns a PF can take its VFs away, so pass either the PF or VFs.");
            }
        }

        if (function.PhysicalFunction is not { } parent)
        {
            return;
        }

        if (host.Origin.Kind == HostOriginKind.LiveSysfs && host.Find(parent)?.Driver == "vfio-pci")
        {
            throw new ApertureException(
                $"{function.Address} is a VF of {parent}, which vfio-pci drives: the kernel gives out such a VF only with its PF's consent (a VF token); bind "
                    + $"{parent} to its own driver and make the VFs with that.");
        }
    }

    private ApertureException Missing(VfioSpec spec, PciAddress address)
    {
        if (FutureVf(address) is { } sentence)
        {
            return new ApertureException($"--device vfio,{spec.Device}: {sentence}");
        }

        string? near = Suggestion.Nearest(address.ToString(), host.Functions.Select(f => f.Address.ToString()));
        string where = host.Origin.Kind == HostOriginKind.LiveSysfs ? "this host" : host.Origin.Name;
        return new ApertureException(
            $"--device vfio,{spec.Device}: {where} has no function {address}; {(near is null ? "'aperture host' lists them" : $"did you mean {near}?")}");
    }

    // A VF's routing id is its PF's plus the offset plus n strides (PCI Express 5.0, section 9.2.1.2); both may change with the number of VFs.
    private string? FutureVf(PciAddress address)
    {
        foreach (HostFunction pf in host.Functions)
        {
            if (pf.Sriov is not { } sriov || pf.Address.Domain != address.Domain)
            {
                continue;
            }

            int distance = address.Bdf.RoutingId - pf.Address.Bdf.RoutingId - sriov.FirstVfOffset;
            int stride = Math.Max(1, (int)sriov.VfStride);
            int number = (distance / stride) + 1;
            if (distance >= 0 && distance % stride == 0 && number > sriov.NumVfs && number <= sriov.TotalVfs)
            {
                string now = sriov.NumVfs == 0 ? "none" : $"{sriov.NumVfs}";
                string zero = sriov.NumVfs == 0 ? "" : $"echo 0 > /sys/bus/pci/devices/{pf.Address}/sriov_numvfs and ";
                return $"{address} would be VF {number} of {pf.Address}, which has {now} now; make them with: {zero}echo {number} > "
                    + $"/sys/bus/pci/devices/{pf.Address}/sriov_numvfs.";
            }
        }

        return null;
    }
}
