using System.Collections.Immutable;
using Aperture.Host.Model;

namespace Aperture.Doctor;

/// <summary>Chooses the devices that are looked at, and what for.</summary>
internal static class DeviceSelection
{
    /// <summary>The functions named; of a bridge those below it. Without names, those that users want in guests for one of <paramref
    /// name="goals"/>.</summary>
    /// <exception cref="ApertureException">The machine has no such function, or nothing that fits the goals.</exception>
    internal static ImmutableArray<HostFunction> Choose(HostMachine host, IReadOnlyList<PciAddress> names, Goals goals)
    {
        SortedDictionary<PciAddress, HostFunction> chosen = [];
        foreach (PciAddress name in names)
        {
            HostFunction function = host.Find(name)
                ?? throw new ApertureException($"{host.Origin.Name}: there is no function {name}; 'aperture host' lists those that are there");
            Add(host, function, chosen);
        }

        if (names.Count == 0)
        {
            Fitting(host, goals).ForEach(function => chosen[function.Address] = function);
        }

        return chosen.Count != 0 ? [.. chosen.Values] : throw new ApertureException(names.Count == 0
            ? $"{host.Origin.Name}: has no device that is wanted for {string.Join(", ", GoalWords.Each(goals).Select(GoalWords.Of))}; name those that "
                + "are meant, as 'aperture host' lists them"
            : $"{host.Origin.Name}: there is no device below {Examination.Names(names)}, which a guest could be given");
    }

    /// <summary>The goals that apply to <paramref name="devices"/>.</summary>
    internal static Goals Applying(ImmutableArray<HostFunction> devices)
    {
        bool direct = devices.Any(DeviceClasses.IsAccelerator) && devices.Any(static device => DeviceClasses.IsNetwork(device)
            || DeviceClasses.IsDrive(device));
        return Goals.Passthrough | Goals.Mirror | (devices.Length > 1 ? Goals.P2p : 0) | (direct ? Goals.GpuDirect : 0)
            | (devices.Any(DeviceClasses.MakesVfs) ? Goals.Sriov : 0);
    }

    private static void Add(HostMachine host, HostFunction function, SortedDictionary<PciAddress, HostFunction> chosen)
    {
        Stack<HostFunction> open = new([function]);
        while (open.TryPop(out HostFunction? next))
        {
            if (DeviceClasses.IsEndpoint(next))
            {
                chosen[next.Address] = next;
            }

            next.Children.ToList().ForEach(child => open.Push(host.Find(child)!));
        }
    }

    private static List<HostFunction> Fitting(HostMachine host, Goals goals)
    {
        List<HostFunction> devices = [.. host.Functions.Where(static function => DeviceClasses.IsEndpoint(function) && !function.IsVirtualFunction)];
        List<HostFunction> accelerators = devices.FindAll(DeviceClasses.IsAccelerator);
        List<HostFunction> wanted = devices.FindAll(static function =>
            DeviceClasses.IsAccelerator(function) || DeviceClasses.IsNetwork(function) || DeviceClasses.IsDrive(function));
        return goals switch
        {
            Goals.Sriov => devices.FindAll(DeviceClasses.MakesVfs),
            Goals.P2p when accelerators.Count > 1 => accelerators,
            _ => wanted,
        };
    }
}
