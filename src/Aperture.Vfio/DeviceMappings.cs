using Aperture.Assignment;
using Aperture.Linux;

namespace Aperture.Vfio;

/// <summary>A piece of a device's region that is mapped into this process.</summary>
/// <param name="Host">Where.</param>
/// <param name="Size">Bytes.</param>
/// <param name="Device">The device.</param>
/// <param name="Region">The region's number.</param>
/// <param name="Offset">Where in the region.</param>
internal sealed record DeviceMapping(HostAddress Host, ulong Size, SafeFileDescriptor Device, uint Region, ulong Offset)
{
    /// <summary>What messages call the region.</summary>
    internal string Name { get; init; } = "";

    /// <summary>The region may be read.</summary>
    internal bool IsReadable { get; init; }
}

/// <summary>
/// Which addresses of this process are which device's memory. iommufd needs to know, because it takes a device's memory as a buffer of the device, not by
/// its address. Thread-safe.
/// </summary>
internal sealed class DeviceMappings
{
    private readonly Lock _gate = new();
    private readonly List<DeviceMapping> _mappings = [];

    internal void Add(DeviceMapping mapping)
    {
        lock (_gate)
        {
            _mappings.Add(mapping);
        }
    }

    internal void Remove(DeviceMapping mapping)
    {
        lock (_gate)
        {
            _mappings.Remove(mapping);
        }
    }

    /// <summary>Puts all-ones where a mapping has no memory behind it, and tells where that was.</summary>
    internal IReadOnlyList<MissingMemory> ReplaceMissing()
    {
        // Under the lock, which who unmaps takes first: what is replaced is still the device's.
        lock (_gate)
        {
            return [.. _mappings.Where(static mapping => mapping.IsReadable)
                .SelectMany(static mapping => MissingPages.Replace(mapping.Name, mapping.Host, mapping.Offset, mapping.Size))];
        }
    }

    /// <summary>The mapping that holds all of the addresses, or null.</summary>
    internal DeviceMapping? Find(HostAddress host, ulong size)
    {
        lock (_gate)
        {
            return _mappings.Find(
                mapping => host >= mapping.Host && host.Value - mapping.Host.Value < mapping.Size && size <= mapping.Size - (host.Value - mapping.Host.Value));
        }
    }
}
