using Aperture.Placement.Request;

namespace Aperture.Mirror;

/// <summary>Puts the guest's own functions beside the mirrored ones on bus 0 of segment 0, and numbers the host bridges' last buses.</summary>
internal static class OwnFunctions
{
    /// <summary>Adds the functions of <paramref name="guest"/>'s first host bridge; one whose place the host has goes to the first free device.</summary>
    public static void Add(List<MirrorRoot> roots, PlacementRequest guest, MirrorNotes notes)
    {
        HostBridgeDemand own = guest.HostBridges[0];
        MirrorRoot? root = roots.Find(candidate => candidate is { Domain: 0, RootBus: 0 });
        if (root is null)
        {
            root = new MirrorRoot(own.Name, 0, 0);
            roots.Insert(0, root);
        }

        for (int i = 0; i < roots.Count; i++)
        {
            bool bounded = i + 1 < roots.Count && roots[i + 1].Domain == roots[i].Domain;
            roots[i].LastBus = bounded ? (byte)(roots[i + 1].RootBus - 1) : (byte)0xFF;
        }

        foreach (FunctionDemand function in own.Functions)
        {
            // A place holder is what the guest's own function replaces.
            root.Functions.RemoveAll(node => node.DeviceFunction == function.DeviceFunction && node is { Host: null, Own: null, IsBridge: false });
            byte place = function.DeviceFunction;
            if (root.Functions.Exists(node => node.DeviceFunction == place))
            {
                int free = TreeMaker.FreePlace(root.Functions);
                place = free >= 0 ? (byte)free : place;
                notes.Add("Functions of the guest's own that moved, because a host function has their place",
                    $"{function.Name} to {new Bdf(place).Device:x2}.0");
            }

            root.Functions.Add(new MirrorNode(function.Name, place) { Own = function with { DeviceFunction = place } });
        }
    }
}
