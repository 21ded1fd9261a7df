using Aperture.Host.Model;
using Aperture.Placement.Request;

namespace Aperture.Mirror;

/// <summary>
/// Makes the tree of a guest that can be run: one root bus, on which everything that stands on a root bus of the host has its place if that is free, and
/// below ports only functions of device 0, since a port looks for no other (PCI Express 5.0, 7.3.1).
/// </summary>
internal sealed class AssignedTree(HostMachine host, MirrorNotes notes)
{
    private const int FunctionsOfDevice = 8;

    /// <summary>The root bus with <paramref name="functions"/> below it; the places of <paramref name="own"/> stay free.</summary>
    /// <exception cref="ApertureException">A function cannot be given to a guest.</exception>
    public MirrorRoot Make(IReadOnlyList<HostFunction> functions, HostBridgeDemand own)
    {
        MirrorRoot all = new(own.Name, 0, 0);
        foreach (MirrorRoot root in new TreeMaker(host, notes).Make(functions))
        {
            foreach (MirrorNode node in root.Functions)
            {
                Put(all.Functions, node, own);
            }
        }

        foreach (MirrorNode bridge in all.Functions.Where(node => node.IsBridge))
        {
            Check(bridge);
            Renumber(bridge);
        }

        return all;
    }

    private void Put(List<MirrorNode> bus, MirrorNode node, HostBridgeDemand own)
    {
        bool Taken(int device) => bus.Exists(other => other.DeviceFunction / FunctionsOfDevice == device && !Together(other, node))
            || own.Functions.Any(function => function.DeviceFunction / FunctionsOfDevice == device);
        int wanted = node.DeviceFunction / FunctionsOfDevice;
        if (Taken(wanted))
        {
            // Functions of one device of the host move together: the first one chose a place, the others find it by their bus and device.
            MirrorNode? first = bus.Find(other => Together(other, node));
            int free = first is not null ? first.DeviceFunction / FunctionsOfDevice : Enumerable.Range(1, 30).FirstOrDefault(device => !Taken(device), -1);
            if (free < 0)
            {
                throw new ApertureException($"{node.Name} does not fit on the guest's root bus: all 32 devices are taken; mirror fewer functions.");
            }

            node.DeviceFunction = (byte)(free * FunctionsOfDevice + node.DeviceFunction % FunctionsOfDevice);
            notes.Add("Moved to another device number, because the guest has one root bus",
                $"{node.Name} to {free:x2}.{node.DeviceFunction % FunctionsOfDevice}");
        }

        bus.Add(node);
    }

    // Host functions and their place holders are named by the host's addresses.
    private static bool Together(MirrorNode one, MirrorNode other) =>
        PciAddress.TryParse(one.Name, out PciAddress left) && PciAddress.TryParse(other.Name, out PciAddress right)
        && (left.Domain, left.Bus, left.Bdf.Device) == (right.Domain, right.Bus, right.Bdf.Device);

    private static void Check(MirrorNode bridge)
    {
        // A description with the standard header only does not tell; what it lacks is not held against it.
        bool told = bridge.Host is not { KnowsCapabilities: false, Pcie: null };
        if (told && bridge.Host?.Pcie?.Type is not (HostPortType.RootPort or HostPortType.SwitchUpstream or HostPortType.SwitchDownstream))
        {
            throw new ApertureException(
                $"{bridge.Name} is not a PCI Express port, and a guest has no other bridges; pass the functions below it with --device vfio,host=ADDRESS "
                    + $"instead.");
        }

        bridge.Children.Where(child => child.IsBridge).ToList().ForEach(Check);
    }

    /// <summary>VFs stand past device 0 on the host, where the port forwards by ARI; a guest finds them as functions 0 to 7 instead.</summary>
    private void Renumber(MirrorNode bridge)
    {
        bool isPort = bridge.Host?.Pcie?.Type != HostPortType.SwitchUpstream;
        List<MirrorNode> far = isPort ? [.. bridge.Children.Where(node => node.DeviceFunction >= FunctionsOfDevice).OrderBy(node => node.DeviceFunction)] : [];
        if (far.Count > 0)
        {
            bridge.Children.RemoveAll(node => node is { Host: null, Own: null, IsBridge: false });
        }

        foreach (MirrorNode node in far)
        {
            int free = Enumerable.Range(0, FunctionsOfDevice).FirstOrDefault(place => !bridge.Children.Exists(other => other.DeviceFunction == place), -1);
            if (free < 0)
            {
                throw new ApertureException($"{node.Name} does not fit below {bridge.Name}: a guest finds 8 functions there; mirror fewer.");
            }

            node.DeviceFunction = (byte)free;
            notes.Add("Moved to device 00, because a guest looks for no other below a port", $"{node.Name} to 00.{free}");
        }

        foreach (MirrorNode child in bridge.Children.Where(node => node.IsBridge))
        {
            Renumber(child);
        }
    }
}
