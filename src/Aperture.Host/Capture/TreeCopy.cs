using System.Formats.Tar;
using Aperture.Host.Reading;

namespace Aperture.Host.Capture;

/// <summary>Copies the files that matter from a sysfs tree into an archive, in the places where sysfs has them.</summary>
internal sealed class TreeCopy(IHostTree tree, TarWriter tar)
{
    private const string Top = "host";
    private readonly TreeWalk _walk = new(tree);
    private string _sys = "";

    /// <summary>Copies everything.</summary>
    /// <exception cref="ApertureException">There is no sysfs, or it cannot be read.</exception>
    internal HostCaptureSummary Copy()
    {
        _sys = SysfsPlaces.FindSys(_walk);

        // The list's directory is there even on a machine without PCI: its absence means that something else was captured.
        AddDirectory(SysfsPlaces.Devices);
        int full = 0;
        SortedDictionary<PciAddress, string> functions = SysfsPlaces.FindFunctions(_walk, _sys);
        foreach ((PciAddress address, string directory) in functions)
        {
            full += CopyFunction(address, directory) ? 1 : 0;
        }

        int groups = CopyGroups(functions);
        CopyNodes();
        new SystemCopy(new SystemReader(_walk, _sys), Put).Copy();
        return new HostCaptureSummary(functions.Count, full, groups);
    }

    private bool CopyFunction(PciAddress address, string directory)
    {
        const int Header = 64;
        string place = Below(directory);
        string listed = $"{SysfsPlaces.Devices}/{address}";
        if (place != listed)
        {
            AddLink(listed, "../../../" + place);
        }

        bool full = false;
        foreach (string name in CaptureFiles.Function)
        {
            full |= CopyFile(TreeWalk.Join(place, name)) is > Header && name == "config";
        }

        foreach (string name in CaptureFiles.FunctionLinks)
        {
            if (_walk.LinkName(TreeWalk.Join(directory, name)) is { } target)
            {
                AddLink(TreeWalk.Join(place, name), Target(place, name, target));
            }
        }

        return full;
    }

    /// <summary>A function's link as sysfs would write it: up to the top, then to where such things are.</summary>
    private static string Target(string place, string name, string target)
    {
        string up = string.Concat(Enumerable.Repeat("../", place.Count(static c => c == '/') + 1));
        return name switch
        {
            "iommu_group" => $"{up}kernel/iommu_groups/{target}",
            "iommu" => $"{up}{SystemFiles.Iommus}/{target}",
            "physfn" => $"{up}{SysfsPlaces.Devices}/{target}",
            _ => $"{up}bus/pci/drivers/{target}",
        };
    }

    private int CopyGroups(SortedDictionary<PciAddress, string> functions)
    {
        const string Groups = "kernel/iommu_groups";
        if (!_walk.IsDirectory(TreeWalk.Join(_sys, Groups)))
        {
            return 0;
        }

        AddDirectory(Groups);
        int count = 0;
        foreach (string group in _walk.List(TreeWalk.Join(_sys, Groups)))
        {
            count++;
            AddDirectory($"{Groups}/{group}/devices");
            foreach (string name in CaptureFiles.Group)
            {
                CopyFile($"{Groups}/{group}/{name}");
            }

            foreach (string member in _walk.List(TreeWalk.Join(_sys, $"{Groups}/{group}/devices")))
            {
                if (PciAddress.TryParse(member, out PciAddress address) && functions.TryGetValue(address, out string? directory))
                {
                    AddLink($"{Groups}/{group}/devices/{member}", "../../../../" + Below(directory));
                }
            }
        }

        return count;
    }

    private void CopyNodes()
    {
        const string Nodes = "devices/system/node";
        foreach (string node in _walk.List(TreeWalk.Join(_sys, Nodes)))
        {
            if (node.StartsWith("node", StringComparison.Ordinal) && node.Length > 4 && node.AsSpan(4).IndexOfAnyExceptInRange('0', '9') < 0)
            {
                AddDirectory($"{Nodes}/{node}");
                foreach (string name in CaptureFiles.Node)
                {
                    CopyFile($"{Nodes}/{node}/{name}");
                }
            }
        }
    }

    /// <summary>Copies one file when it is there; returns its size.</summary>
    private int CopyFile(string place)
    {
        if (_walk.Read(TreeWalk.Join(_sys, place), CaptureFiles.Limit(TreeWalk.NameOf(place))) is not { } content)
        {
            return 0;
        }

        using MemoryStream data = new(content, writable: false);
        Write(TarEntryType.RegularFile, $"sys/{place}", entry => entry.DataStream = data);
        return content.Length;
    }

    private void AddDirectory(string place) => Write(TarEntryType.Directory, $"sys/{place}", static _ => { });

    private void AddLink(string place, string target) => Write(TarEntryType.SymbolicLink, $"sys/{place}", entry => entry.LinkName = target);

    /// <summary>Writes a file with <paramref name="text"/>, or a directory, at a place from the root of the file system.</summary>
    private void Put(string place, string? text)
    {
        if (text is null)
        {
            Write(TarEntryType.Directory, place, static _ => { });
            return;
        }

        using MemoryStream data = new(System.Text.Encoding.ASCII.GetBytes(text), writable: false);
        Write(TarEntryType.RegularFile, place, entry => entry.DataStream = data);
    }

    private void Write(TarEntryType type, string place, Action<GnuTarEntry> fill)
    {
        // One time for all: two captures of an unchanged machine are the same file.
        GnuTarEntry entry = new(type, $"{Top}/{place}")
        {
            ModificationTime = DateTimeOffset.UnixEpoch,
            AccessTime = DateTimeOffset.UnixEpoch,
            ChangeTime = DateTimeOffset.UnixEpoch,
        };
        fill(entry);
        tar.WriteEntry(entry);
    }

    private string Below(string directory) => _sys.Length == 0 ? directory : directory[(_sys.Length + 1)..];
}
