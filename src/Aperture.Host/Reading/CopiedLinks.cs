namespace Aperture.Host.Reading;

/// <summary>
/// A captured tree whose links a copy turned into files that hold their targets, as checkouts and unpackers do where there are no symbolic links. Only what is
/// a link in every sysfs is taken for one: the bus' list, the members of IOMMU groups, and a function's own.
/// </summary>
internal sealed class CopiedLinks(IHostTree tree) : IHostTree
{
    private const int LongestTarget = 4096;

    /// <inheritdoc/>
    public string Name => tree.Name;

    /// <inheritdoc/>
    public TreeNodeKind Kind(string path)
    {
        TreeNodeKind kind = tree.Kind(path);
        return kind == TreeNodeKind.File && IsLinkInSysfs(path) && Target(path) is not null ? TreeNodeKind.Link : kind;
    }

    /// <inheritdoc/>
    public string ReadLink(string path) => tree.Kind(path) == TreeNodeKind.Link ? tree.ReadLink(path) : Target(path) ?? "";

    /// <inheritdoc/>
    public IReadOnlyList<string> List(string path) => tree.List(path);

    /// <inheritdoc/>
    public byte[] Read(string path, int limit) => tree.Read(path, limit);

    private static bool IsLinkInSysfs(string path)
    {
        string above = TreeWalk.ParentOf(path);
        return Array.IndexOf(CaptureFiles.FunctionLinks, TreeWalk.NameOf(path)) >= 0
            || above.EndsWith(SysfsPlaces.Devices, StringComparison.Ordinal)
            || (TreeWalk.NameOf(above) == "devices" && above.Contains("iommu_groups/", StringComparison.Ordinal));
    }

    private string? Target(string path)
    {
        byte[] content = tree.Read(path, HostLimits.Attribute);
        string text = content.Length <= LongestTarget ? SysfsText.Decode(content).TrimEnd('\n', '\r') : "";
        return text.StartsWith("../", StringComparison.Ordinal) && !text.AsSpan().ContainsAny('\n', '\0') ? text : null;
    }
}
