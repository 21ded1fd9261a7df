using System.Collections.Immutable;
using System.Globalization;
using Aperture.Host.Model;

namespace Aperture.Host.Reading;

/// <summary>Reads what of a host is not PCI. Nothing here is damage: what is missing, hidden from this user or not understood is not told.</summary>
/// <param name="walk">The tree.</param>
/// <param name="sys">The path of sysfs' top in it.</param>
internal sealed class SystemReader(TreeWalk walk, string sys)
{
    /// <summary>True where the tree can hold more than sysfs: its top is not sysfs' own.</summary>
    internal bool HasRoot => sys.Length != 0;

    /// <summary>Reads everything.</summary>
    internal HostSystem Read() => new()
    {
        KernelParameters = RootText("proc/cmdline") is { } words ? [.. SystemFiles.KernelParameters(words)] : null,
        KernelRelease = RootText("proc/sys/kernel/osrelease")?.Trim() is { Length: > 0 } release ? release : SystemText.Release(RootText("proc/version")),
        Processor = RootText("proc/cpuinfo") is { } processor ? SystemText.Processor(processor) : null,
        IommuUnits = Folder(SystemFiles.Iommus) is { } units ? [.. units.Select(Unit)] : null,
        IommuTables = Folder(SystemFiles.Tables) is { } tables ? [.. tables.Where(static name => Array.IndexOf(SystemFiles.IommuTables, name) >= 0)] : null,
        HugePages = Pools(),
        Modules = Folder(SystemFiles.ModuleFolder) is { } modules ? [.. modules.Where(SystemFiles.Modules.Contains)] : null,
        ModuleParameters = ModuleParameters(),
        DeviceNodes = Folder(SystemFiles.NodeFolder) is { } nodes ? [.. nodes.Where(static name => Array.IndexOf(SystemFiles.DeviceNodes, name) >= 0)] : null,
        ModuleRules = ModuleRules(),
        Firmware = Firmware(),
        Limits = Limits(),
        RootWindows = RootText("proc/iomem") is { } map ? SystemText.RootWindows(map) : null,
    };

    /// <summary>The names in a folder below sysfs' top; null when it is not there.</summary>
    internal IReadOnlyList<string>? Folder(string path) => Names(TreeWalk.Join(sys, path));

    /// <summary>The names in a folder of the root of the file system; null when it is not there.</summary>
    internal IReadOnlyList<string>? RootFolder(string path) => HasRoot ? Names(Rooted(path)) : null;

    /// <summary>A file below sysfs' top; null when it is not there or not for this user.</summary>
    internal string? Text(string path) => Content(TreeWalk.Join(sys, path), HostLimits.Attribute);

    /// <summary>A file of the root of the file system; null when it is not there or not for this user.</summary>
    internal string? RootText(string path) => HasRoot ? Content(Rooted(path), HostLimits.ProcessFile) : null;

    /// <summary>The folders that hold pools of huge pages, below sysfs' top, with their node.</summary>
    internal IEnumerable<(int? Node, string Path)> PoolFolders()
    {
        foreach (string pool in Folder(SystemFiles.HugePages) ?? [])
        {
            yield return (null, $"{SystemFiles.HugePages}/{pool}");
        }

        foreach (string node in Folder(SystemFiles.Nodes) ?? [])
        {
            if (node.StartsWith("node", StringComparison.Ordinal) && int.TryParse(node.AsSpan(4), NumberStyles.None, CultureInfo.InvariantCulture,
                out int number))
            {
                foreach (string pool in Folder($"{SystemFiles.Nodes}/{node}/hugepages") ?? [])
                {
                    yield return (number, $"{SystemFiles.Nodes}/{node}/hugepages/{pool}");
                }
            }
        }
    }

    /// <summary>The <c>memory.max</c> of this process' cgroup and those above it, outermost first (cgroup-v2, Memory Interface Files).</summary>
    internal IReadOnlyList<string> CgroupLimits()
    {
        const string Unified = "0::/";
        string? line = RootText("proc/self/cgroup")?.Split('\n').FirstOrDefault(static line => line.StartsWith(Unified, StringComparison.Ordinal));
        List<string> limits = [];
        string at = "fs/cgroup";
        foreach (string name in (line ?? Unified)[Unified.Length..].Split('/', StringSplitOptions.RemoveEmptyEntries))
        {
            at = $"{at}/{name}";
            limits.Add(Text(at + "/memory.max")?.Trim() ?? "");
        }

        return limits;
    }

    private string Rooted(string path) => TreeWalk.Join(TreeWalk.ParentOf(sys), path);

    private IReadOnlyList<string>? Names(string path)
    {
        try
        {
            return walk.IsDirectory(path) ? walk.List(path) : null;
        }
        catch (ApertureException)
        {
            // Not for this user, or gone: not told.
            return null;
        }
    }

    private string? Content(string path, int limit)
    {
        try
        {
            return walk.Read(path, limit) is { } content ? SysfsText.Decode(content) : null;
        }
        catch (ApertureException)
        {
            return null;
        }
    }

    private HostIommuUnit Unit(string name)
    {
        string place = $"{SystemFiles.Iommus}/{name}";
        HostIommuKind kind = Folder(place + "/intel-iommu") is not null ? HostIommuKind.Intel
            : Folder(place + "/amd-iommu") is not null ? HostIommuKind.Amd : HostIommuKind.Other;
        string? register = kind switch
        {
            HostIommuKind.Intel => Text(place + "/intel-iommu/cap"),
            HostIommuKind.Amd => Text(place + "/amd-iommu/features"),
            _ => null,
        };
        return new HostIommuUnit(name, kind, SystemText.Register(register), SystemText.Register(Text(place + "/intel-iommu/ecap")));
    }

    private ImmutableArray<HostHugePages>? Pools()
    {
        if (Folder(SystemFiles.HugePages) is null)
        {
            return null;
        }

        ImmutableArray<HostHugePages>.Builder pools = ImmutableArray.CreateBuilder<HostHugePages>();
        foreach ((int? node, string path) in PoolFolders())
        {
            if (SystemText.PageSize(TreeWalk.NameOf(path)) is { } size && SystemText.Number(Text(path + "/nr_hugepages")) is { } total
                && SystemText.Number(Text(path + "/free_hugepages")) is { } free)
            {
                pools.Add(new HostHugePages(node, size, total, free));
            }
        }

        return pools.ToImmutable();
    }

    private ImmutableSortedDictionary<string, string> ModuleParameters()
    {
        ImmutableSortedDictionary<string, string>.Builder values = ImmutableSortedDictionary.CreateBuilder<string, string>(StringComparer.Ordinal);
        foreach (string parameter in SystemFiles.Parameters)
        {
            string[] parts = parameter.Split('/');
            if (Text($"{SystemFiles.ModuleFolder}/{parts[0]}/parameters/{parts[1]}") is { } value)
            {
                values.Add($"{parts[0]}.{parts[1]}", value.Trim());
            }
        }

        return values.ToImmutable();
    }

    private ImmutableArray<string>? ModuleRules() => RootFolder(SystemFiles.Rules) is { } files
        ? [.. files.Where(static file => file.EndsWith(".conf", StringComparison.Ordinal)).SelectMany(file =>
            SystemFiles.ModuleRules(RootText($"{SystemFiles.Rules}/{file}") ?? "").Split('\n',
                StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)
                .Select(rule => $"{file}: {rule}"))]
        : null;

    private HostFirmware? Firmware()
    {
        string Told(string name) => Text($"{SystemFiles.Dmi}/{name}")?.Trim() ?? "";
        HostFirmware firmware = new(Told("sys_vendor"), Told("product_name"), Told("board_name"), Told("bios_version"), Told("bios_date"));
        return firmware == new HostFirmware("", "", "", "", "") ? null : firmware;
    }

    private HostProcessLimits? Limits()
    {
        ulong? locked = SystemText.LockedMemory(RootText("proc/self/limits"));
        bool? passes = SystemText.MayLock(RootText("proc/self/status"));
        ulong? most = null;
        foreach (string limit in CgroupLimits())
        {
            ulong? bytes = limit == "max" ? ulong.MaxValue : SystemText.Number(limit);
            most = bytes is null ? most : Math.Min(most ?? ulong.MaxValue, bytes.Value);
        }

        return locked is null && passes is null && most is null ? null : new HostProcessLimits(locked, passes, most);
    }
}
