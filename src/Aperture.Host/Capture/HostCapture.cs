namespace Aperture.Host;

/// <summary>What a capture holds.</summary>
/// <param name="Functions">PCI functions captured.</param>
/// <param name="FullConfigs">Of those, the ones with their whole configuration space (root alone may read it).</param>
/// <param name="IommuGroups">IOMMU groups captured.</param>
public sealed record HostCaptureSummary(int Functions, int FullConfigs, int IommuGroups);

/// <summary>Saves what a machine has into an archive that <see cref="HostReader"/> reads back.</summary>
public static class HostCapture
{
    /// <summary>Writes a gzip-compressed tar of the PCI, IOMMU and NUMA parts of sysfs below <paramref name="root"/> (<c>/</c> for this machine) to <paramref name="path"/>.</summary>
    /// <exception cref="ApertureException">The tree cannot be read or the file not written; no file is left then.</exception>
    public static HostCaptureSummary Save(string root, string path) => throw new NotImplementedException();

    /// <summary>Writes the same archive to <paramref name="output"/>, which stays open.</summary>
    /// <exception cref="ApertureException">The tree cannot be read.</exception>
    public static HostCaptureSummary Write(string root, Stream output) => throw new NotImplementedException();
}
