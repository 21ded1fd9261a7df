namespace Aperture.Host.Reading;

/// <summary>A tree that is a directory of this machine: sysfs itself, or an unpacked capture.</summary>
internal sealed class DirectoryTree(string root) : IHostTree
{
    // What .NET says of a file that is not there.
    private const FileAttributes Missing = (FileAttributes)(-1);

    /// <inheritdoc/>
    public string Name => root;

    /// <inheritdoc/>
    public TreeNodeKind Kind(string path)
    {
        try
        {
            // One system call for all of them; a link to a directory has both marks.
            FileAttributes marks = new FileInfo(Full(path)).Attributes;
            return marks == Missing ? TreeNodeKind.None
                : marks.HasFlag(FileAttributes.ReparsePoint) && path.Length != 0 ? TreeNodeKind.Link
                : marks.HasFlag(FileAttributes.Directory) ? TreeNodeKind.Directory
                : TreeNodeKind.File;
        }
        catch (Exception error) when (IsFileFailure(error))
        {
            throw Failure(path, error);
        }
    }

    /// <inheritdoc/>
    public string ReadLink(string path)
    {
        try
        {
            return new FileInfo(Full(path)).LinkTarget ?? throw new ApertureException($"{Full(path)}: is no longer a link");
        }
        catch (Exception error) when (IsFileFailure(error))
        {
            throw Failure(path, error);
        }
    }

    /// <inheritdoc/>
    public IReadOnlyList<string> List(string path)
    {
        List<string> names = [];
        try
        {
            foreach (string entry in Directory.EnumerateFileSystemEntries(Full(path)))
            {
                names.Add(Path.GetFileName(entry));
                if (names.Count > HostLimits.DirectoryEntries)
                {
                    throw new ApertureException($"{Full(path)}: holds more than {HostLimits.DirectoryEntries} entries");
                }
            }
        }
        catch (Exception error) when (IsFileFailure(error))
        {
            throw Failure(path, error);
        }

        names.Sort(StringComparer.Ordinal);
        return names;
    }

    /// <inheritdoc/>
    public byte[] Read(string path, int limit)
    {
        string full = Full(path);
        try
        {
            // Not opened when the size says empty: pipes and devices in a hostile tree show up as empty, and opening them may wait for ever.
            if (new FileInfo(full).Length == 0 && !IsProcess(path))
            {
                return [];
            }

            using FileStream file = new(full, FileMode.Open, FileAccess.Read, FileShare.ReadWrite, bufferSize: 0);
            return Bounded.Read(file, limit) ?? throw new ApertureException($"{full}: is larger than the {limit} bytes that such a file can have");
        }
        catch (Exception error) when (IsFileFailure(error))
        {
            throw Failure(path, error);
        }
    }

    // The running kernel's procfs gives no sizes, and has no pipes at the places that are asked for.
    private bool IsProcess(string path) => root == "/" && path.StartsWith("proc/", StringComparison.Ordinal);

    private static bool IsFileFailure(Exception error) => error is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException;

    private string Full(string path) => path.Length == 0 ? root : Path.Join(root, path);

    private ApertureException Failure(string path, Exception error) =>
        new($"{Full(path)}: cannot be read: {error.Message.ReplaceLineEndings(" ")}", ApertureException.ConfigurationError, error);
}
