namespace Aperture.Host.Reading;

/// <summary>A tree in memory, as an archive lists it. Nothing of it ever touches this machine's file system.</summary>
internal sealed class ArchiveTree(string name) : IHostTree
{
    private readonly Node _top = new(TreeNodeKind.Directory);
    private long _kept;

    /// <inheritdoc/>
    public string Name => name;

    /// <summary>Adds a directory and those above it.</summary>
    internal void AddDirectory(string[] names) => Descend(names, names.Length);

    /// <summary>Adds a file; a later entry of one name replaces the earlier, as unpacking would.</summary>
    /// <exception cref="ApertureException">The archive's files are too large together.</exception>
    internal void AddFile(string[] names, byte[] content)
    {
        _kept += content.Length + 64;
        if (_kept > HostLimits.Kept)
        {
            throw new ApertureException($"{name}: its sysfs files hold more than {ByteSize.Format(HostLimits.Kept)} together");
        }

        Put(names, new Node(TreeNodeKind.File) { Content = content });
    }

    /// <summary>Adds a symbolic link.</summary>
    internal void AddLink(string[] names, string target) => Put(names, new Node(TreeNodeKind.Link) { Target = target });

    /// <inheritdoc/>
    public TreeNodeKind Kind(string path) => Find(path)?.Kind ?? TreeNodeKind.None;

    /// <inheritdoc/>
    public string ReadLink(string path) => Find(path)?.Target ?? "";

    /// <inheritdoc/>
    public IReadOnlyList<string> List(string path) => [.. Find(path)?.Children.Keys ?? Enumerable.Empty<string>()];

    /// <inheritdoc/>
    public byte[] Read(string path, int limit) =>
        Find(path)?.Content is { } content && content.Length <= limit
            ? content
            : throw new ApertureException($"{name}: {path}: is larger than the {limit} bytes that such a file can have");

    private Node? Find(string path)
    {
        Node? node = _top;
        if (path.Length != 0)
        {
            foreach (Range part in path.AsSpan().Split('/'))
            {
                node = node?.Children.GetValueOrDefault(path[part]);
            }
        }

        return node;
    }

    private void Put(string[] names, Node node)
    {
        if (names.Length != 0)
        {
            Descend(names, names.Length - 1).Children[names[^1]] = node;
        }
    }

    private Node Descend(string[] names, int count)
    {
        Node node = _top;
        for (int i = 0; i < count; i++)
        {
            // A file or link where a directory must be gives way to it: tools refuse such archives, and no capture has them.
            if (!node.Children.TryGetValue(names[i], out Node? child) || child.Kind != TreeNodeKind.Directory)
            {
                child = new Node(TreeNodeKind.Directory);
                node.Children[names[i]] = child;
            }

            node = child;
        }

        return node;
    }

    private sealed class Node(TreeNodeKind kind)
    {
        private static readonly SortedDictionary<string, Node> Nothing = new(StringComparer.Ordinal);

        internal TreeNodeKind Kind => kind;

        internal byte[]? Content { get; init; }

        internal string? Target { get; init; }

        internal SortedDictionary<string, Node> Children { get; } =
            kind == TreeNodeKind.Directory ? new SortedDictionary<string, Node>(StringComparer.Ordinal) : Nothing;
    }
}
