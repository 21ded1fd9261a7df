using System.Globalization;

namespace Aperture.Host.Reading;

/// <summary>Finds sysfs in a tree, and the PCI functions in sysfs.</summary>
internal static class SysfsPlaces
{
    /// <summary>The list of functions below sysfs' top.</summary>
    internal const string Devices = "bus/pci/devices";

    /// <summary>
    /// The path of sysfs' top in the tree: the tree's own top, <c>sys</c> in it, or the same a few directories down (a capture has one folder on top).
    /// </summary>
    /// <exception cref="ApertureException">There is none.</exception>
    internal static string FindSys(TreeWalk walk)
    {
        const int Depth = 4;
        Queue<(string Path, int Depth)> open = new([("", 0)]);
        int looked = 0;
        while (open.TryDequeue(out (string Path, int Depth) next) && looked++ < HostLimits.SearchedDirectories)
        {
            foreach (string candidate in (ReadOnlySpan<string>)[TreeWalk.Join(next.Path, "sys"), next.Path])
            {
                if (walk.IsDirectory(TreeWalk.Join(candidate, Devices)))
                {
                    return walk.Resolve(candidate) ?? candidate;
                }
            }

            if (next.Depth == Depth)
            {
                continue;
            }

            foreach (string name in walk.Tree.List(next.Path))
            {
                string path = TreeWalk.Join(next.Path, name);
                if (open.Count < HostLimits.SearchedDirectories && walk.Tree.Kind(path) == TreeNodeKind.Directory)
                {
                    open.Enqueue((path, next.Depth + 1));
                }
            }
        }

        throw new ApertureException($"{walk.Tree.Name}: there is no sys/{Devices} in it, so it is not a capture of a machine's sysfs");
    }

    /// <summary>
    /// Every function with its directory, in address order: those that the bus lists, and those that stand between them and their root or beside them
    /// in the device tree (a capture's list may leave out bridges whose directories are there).
    /// </summary>
    /// <param name="walk">The tree.</param>
    /// <param name="sys">The path of sysfs' top in it.</param>
    /// <param name="vanished">Takes what was listed and is gone; null where that is damage.</param>
    /// <exception cref="ApertureException">A name is not a PCI address, or there are too many.</exception>
    internal static SortedDictionary<PciAddress, string> FindFunctions(TreeWalk walk, string sys, ISet<PciAddress>? vanished = null)
    {
        SortedDictionary<PciAddress, string> found = [];
        string list = TreeWalk.Join(sys, Devices);
        foreach (string name in walk.List(list))
        {
            string path = TreeWalk.Join(list, name);
            if (!PciAddress.TryParse(name, out PciAddress address))
            {
                throw new ApertureException($"{walk.Tree.Name}: {list}: {SysfsText.Quote(name)} is not a PCI address");
            }

            string? resolved = ResolveUnlessGone(walk, path, vanished is not null);
            if (resolved is null && vanished is not null)
            {
                vanished.Add(address);
                continue;
            }

            string directory = resolved
                ?? throw new ApertureException($"{walk.Tree.Name}: {path}: leads nowhere: the device's own directory is missing");
            if (TreeWalk.NameOf(directory) != name)
            {
                throw new ApertureException($"{walk.Tree.Name}: {path}: leads to {SysfsText.Quote(directory)}, which is another device");
            }

            Add(found, walk, address, directory);
            AddAncestors(found, walk, directory);
        }

        string devices = TreeWalk.Join(sys, "devices");
        foreach (string name in walk.List(devices))
        {
            if (IsHostBridge(name))
            {
                AddBelow(found, walk, TreeWalk.Join(devices, name), 0, vanished is not null);
            }
        }

        return found;
    }

    /// <summary>True for the name of a host bridge's directory: <c>pci0000:17</c>.</summary>
    internal static bool IsHostBridge(string name) =>
        name.StartsWith("pci", StringComparison.Ordinal) && name.IndexOf(':') is var colon and > 3
        && uint.TryParse(name.AsSpan(3, colon - 3), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out _)
        && byte.TryParse(name.AsSpan(colon + 1), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out _);

    private static void AddAncestors(SortedDictionary<PciAddress, string> found, TreeWalk walk, string directory)
    {
        for (string path = TreeWalk.ParentOf(directory); path.Length != 0; path = TreeWalk.ParentOf(path))
        {
            if (PciAddress.TryParse(TreeWalk.NameOf(path), out PciAddress address))
            {
                AddIfPresent(found, walk, address, path);
            }
        }
    }

    private static void AddBelow(SortedDictionary<PciAddress, string> found, TreeWalk walk, string directory, int depth, bool mayVanish)
    {
        if (depth == HostLimits.TreeDepth)
        {
            throw new ApertureException($"{walk.Tree.Name}: {directory[..80]}...: devices nest more than {HostLimits.TreeDepth} deep");
        }

        foreach (string name in ListUnlessGone(walk, directory, mayVanish))
        {
            bool isFunction = PciAddress.TryParse(name, out PciAddress address);
            string path = TreeWalk.Join(directory, name);

            // Below an endpoint stand its children on other buses; only bridges and virtual host bridges hold PCI devices.
            if ((isFunction || IsHostBridge(name)) && walk.Tree.Kind(path) == TreeNodeKind.Directory)
            {
                if (isFunction)
                {
                    AddIfPresent(found, walk, address, path);
                }

                AddBelow(found, walk, path, depth + 1, mayVanish);
            }
        }
    }

    private static IReadOnlyList<string> ListUnlessGone(TreeWalk walk, string directory, bool mayVanish)
    {
        try
        {
            return walk.Tree.List(directory);
        }
        catch (ApertureException) when (mayVanish && walk.Tree.Kind(directory) != TreeNodeKind.Directory)
        {
            return [];
        }
    }

    // The link may go between being seen and being read.
    private static string? ResolveUnlessGone(TreeWalk walk, string path, bool mayVanish)
    {
        try
        {
            return walk.Resolve(path);
        }
        catch (ApertureException) when (mayVanish && walk.Tree.Kind(path) != TreeNodeKind.Link)
        {
            return null;
        }
    }

    private static void AddIfPresent(SortedDictionary<PciAddress, string> found, TreeWalk walk, PciAddress address, string path)
    {
        if (!found.ContainsKey(address) && (HasFile(walk, path, "config") || HasFile(walk, path, "vendor")))
        {
            Add(found, walk, address, path);
        }
    }

    private static bool HasFile(TreeWalk walk, string directory, string name) => walk.Tree.Kind(TreeWalk.Join(directory, name)) == TreeNodeKind.File;

    private static void Add(SortedDictionary<PciAddress, string> found, TreeWalk walk, PciAddress address, string directory)
    {
        found[address] = directory;
        if (found.Count > HostLimits.Functions)
        {
            throw new ApertureException($"{walk.Tree.Name}: describes more than {HostLimits.Functions} PCI functions");
        }
    }
}
