using System.Globalization;
using Aperture.Host.Model;

namespace Aperture.Host.Reading;

/// <summary>Reads a sysfs tree, live or captured.</summary>
internal sealed class SysfsReader
{
    private readonly TreeWalk _walk;
    private readonly string _sys;
    private readonly RawHost _host;
    private readonly SortedDictionary<PciAddress, string> _places = [];

    private SysfsReader(TreeWalk walk, string sys, HostOrigin origin)
    {
        _walk = walk;
        _sys = sys;
        _host = new RawHost { Origin = origin };
    }

    /// <summary>Reads the machine that <paramref name="tree"/> holds.</summary>
    /// <exception cref="ApertureException">There is no sysfs in it, or it is damaged.</exception>
    internal static RawHost Read(IHostTree tree, HostOrigin origin)
    {
        TreeWalk walk = new(tree);
        SysfsReader reader = new(walk, SysfsPlaces.FindSys(walk), origin);
        reader.ReadAll();
        return reader._host;
    }

    private void ReadAll()
    {
        foreach ((PciAddress address, string directory) in SysfsPlaces.FindFunctions(_walk, _sys, IsLive ? _host.Vanished : null))
        {
            if (ReadUnlessGone(address, directory) is { } function)
            {
                _places.Add(address, directory);
                _host.Functions.Add(function);
            }
            else
            {
                _host.Vanished.Add(address);
            }
        }

        _host.Vanished.ExceptWith(_places.Keys);

        string groups = TreeWalk.Join(_sys, "kernel/iommu_groups");
        _host.KnowsIommuGroups = _walk.IsDirectory(groups);
        foreach (string name in _walk.List(groups))
        {
            string group = TreeWalk.Join(groups, name);
            try
            {
                ReadGroup(name, group);
            }
            catch (ApertureException) when (IsGone(group))
            {
                // With the last of its functions.
            }
        }

        ReadNodes(TreeWalk.Join(_sys, "devices/system/node"));
        _host.System = new SystemReader(_walk, _sys).Read();
    }

    private bool IsLive => _host.Origin.Kind == HostOriginKind.LiveSysfs;

    private bool IsGone(string directory) => IsLive && _walk.Tree.Kind(directory) != TreeNodeKind.Directory;

    // A live host may take a function away at any time: what was read of it then is no function, and that is nobody's fault. A capture is damaged.
    private RawFunction? ReadUnlessGone(PciAddress address, string directory)
    {
        try
        {
            RawFunction function = ReadFunction(address, directory);

            // Its files go first and one after the other, its directory last.
            return IsLive && (function.Vendor is null || function.ClassCode is null || IsGone(directory)) ? null : function;
        }
        catch (ApertureException) when (IsGone(directory))
        {
            return null;
        }
    }

    private RawFunction ReadFunction(PciAddress address, string directory)
    {
        RawFunction function = new() { Address = address, Place = Place(directory) };
        function.Config = ReadConfig(directory);
        function.Vendor = (ushort?)ReadHex(directory, "vendor", 16);
        function.Device = (ushort?)ReadHex(directory, "device", 16);
        function.SubsystemVendor = (ushort?)ReadHex(directory, "subsystem_vendor", 16);
        function.Subsystem = (ushort?)ReadHex(directory, "subsystem_device", 16);
        function.ClassCode = (uint?)ReadHex(directory, "class", 24);
        function.Revision = (byte?)ReadHex(directory, "revision", 8);
        function.Driver = _walk.LinkName(TreeWalk.Join(directory, "driver"));
        function.NumaNode = ReadDecimal(directory, "numa_node", -1, 1 << 20) is { } node and >= 0 ? node : null;
        if (ReadText(directory, "resource") is { } resources)
        {
            function.Resources = SysfsText.Resources(resources, Place(TreeWalk.Join(directory, "resource")));
        }

        if (_walk.LinkName(TreeWalk.Join(directory, "iommu_group")) is { } group)
        {
            function.IommuGroup = SysfsText.Decimal(group, 0, int.MaxValue, Place(TreeWalk.Join(directory, "iommu_group")));
        }

        if (_walk.LinkName(TreeWalk.Join(directory, "physfn")) is { } physical)
        {
            function.PhysicalFunction = PciAddress.TryParse(physical, out PciAddress pf)
                ? pf
                : throw new ApertureException($"{Place(directory)}/physfn: {SysfsText.Quote(physical)} is not a PCI address");
        }

        function.DriverOverride = ReadText(directory, "driver_override")?.Trim() is { Length: > 0 } chosen && chosen != "(null)" ? chosen : null;
        function.IommuUnit = _walk.LinkName(TreeWalk.Join(directory, "iommu"));
        function.Irq = ReadDecimal(directory, "irq", 0, int.MaxValue);
        function.BootDisplay = ReadDecimal(directory, "boot_vga", 0, 1) is { } boot ? boot == 1 : null;

        // An empty list is an answer: the function has no reset, or its administrator took them away.
        function.ResetMethods = _walk.Read(TreeWalk.Join(directory, "reset_method"), HostLimits.Attribute) is { } methods
            ? [.. SysfsText.Decode(methods).Split((char[])[' ', '\n'], StringSplitOptions.RemoveEmptyEntries)]
            : null;
        function.Sriov = ReadSriov(directory);
        return function;
    }

    private byte[] ReadConfig(string directory)
    {
        string path = TreeWalk.Join(directory, "config");
        byte[] config = _walk.Read(path, HostLimits.Config) ?? [];
        return ConfigLength.IsKnown(config.Length)
            ? config
            : throw new ApertureException(
                $"{Place(path)}: has {config.Length} bytes, where configuration space is 64, 128, 256 or 4096 as far as the kernel shows it");
    }

    private RawSriov? ReadSriov(string directory)
    {
        const int MostVfs = ushort.MaxValue;
        if (ReadDecimal(directory, "sriov_totalvfs", 0, MostVfs) is not { } total)
        {
            return null;
        }

        return new RawSriov(
            total,
            ReadDecimal(directory, "sriov_numvfs", 0, MostVfs) ?? 0,
            (ushort)(ReadDecimal(directory, "sriov_offset", 0, MostVfs) ?? 0),
            (ushort)(ReadDecimal(directory, "sriov_stride", 0, MostVfs) ?? 0),
            ReadText(directory, "sriov_vf_device") is { } device
                && ushort.TryParse(device.Trim(), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ushort id) ? id : (ushort)0);
    }

    private void ReadGroup(string name, string directory)
    {
        int number = SysfsText.Decimal(name, 0, int.MaxValue, Place(directory));
        RawGroup group = new(number, [], []);
        foreach (string member in _walk.List(TreeWalk.Join(directory, "devices")))
        {
            // Groups also hold devices that are not PCI; those are named otherwise.
            if (PciAddress.TryParse(member, out PciAddress address) && _places.ContainsKey(address))
            {
                group.Functions.Add(address);
            }
        }

        if (ReadText(directory, "reserved_regions") is { } text)
        {
            group.Regions.AddRange(SysfsText.ReservedRegions(text, Place(TreeWalk.Join(directory, "reserved_regions"))));
        }

        group.Type = ReadText(directory, "type")?.Trim();
        _host.Groups.Add(group);
    }

    private void ReadNodes(string directory)
    {
        foreach (string name in _walk.List(directory))
        {
            if (!name.StartsWith("node", StringComparison.Ordinal)
                || !int.TryParse(name.AsSpan(4), NumberStyles.None, CultureInfo.InvariantCulture, out int number))
            {
                continue;
            }

            string node = TreeWalk.Join(directory, name);
            _host.NumaNodes.Add(new HostNumaNode(number, ReadText(node, "cpulist")?.Trim() ?? "", Memory(ReadText(node, "meminfo"))));
        }
    }

    /// <summary>The total of a node's <c>meminfo</c>: <c>Node 0 MemTotal: 47925628 kB</c>.</summary>
    private static ulong? Memory(string? text)
    {
        string[] words = (text ?? "").Split((char[])[' ', '\n', '\t'], StringSplitOptions.RemoveEmptyEntries);
        int label = Array.IndexOf(words, "MemTotal:");
        return label >= 0 && label + 1 < words.Length
            && ulong.TryParse(words[label + 1], NumberStyles.None, CultureInfo.InvariantCulture, out ulong kilobytes)
            && kilobytes < 1UL << 53 ? kilobytes << 10 : null;
    }

    private ulong? ReadHex(string directory, string name, int bits) =>
        ReadText(directory, name) is { } text ? SysfsText.Hex(text, bits, Place(TreeWalk.Join(directory, name))) : null;

    private int? ReadDecimal(string directory, string name, int smallest, int largest) =>
        ReadText(directory, name) is { } text ? SysfsText.Decimal(text, smallest, largest, Place(TreeWalk.Join(directory, name))) : null;

    /// <summary>An attribute's text; null when it is missing or was captured empty.</summary>
    private string? ReadText(string directory, string name) =>
        _walk.Read(TreeWalk.Join(directory, name), HostLimits.Attribute) is { Length: > 0 } content ? SysfsText.Decode(content) : null;

    private string Place(string path) => $"{_walk.Tree.Name}: {path}";
}

/// <summary>How much of configuration space a source may show.</summary>
internal static class ConfigLength
{
    /// <summary>True for nothing, the header (all that users other than root may read), a CardBus header, and the two whole sizes.</summary>
    internal static bool IsKnown(int bytes) => bytes is 0 or 64 or 128 or 256 or 4096;
}
