namespace Aperture.Host.Reading;

/// <summary>What stands at a path of a tree.</summary>
internal enum TreeNodeKind : byte
{
    /// <summary>Nothing.</summary>
    None,

    /// <summary>A file.</summary>
    File,

    /// <summary>A directory.</summary>
    Directory,

    /// <summary>A symbolic link.</summary>
    Link,
}

/// <summary>
/// A tree of files that holds a copy of sysfs, or sysfs itself. Paths are relative to its top, separated by slashes, without
/// <c>.</c> and <c>..</c>; the empty path is the top. No member follows links: <see cref="TreeWalk"/> does, and stays inside.
/// </summary>
internal interface IHostTree
{
    /// <summary>The tree's name in messages.</summary>
    string Name { get; }

    /// <summary>What stands at <paramref name="path"/>.</summary>
    TreeNodeKind Kind(string path);

    /// <summary>The target of the link at <paramref name="path"/> as it is written.</summary>
    string ReadLink(string path);

    /// <summary>The names in the directory at <paramref name="path"/>, sorted by their bytes.</summary>
    /// <exception cref="ApertureException">There are too many, or the directory cannot be read.</exception>
    IReadOnlyList<string> List(string path);

    /// <summary>The bytes of the file at <paramref name="path"/>.</summary>
    /// <exception cref="ApertureException">There are more than <paramref name="limit"/>, or the file cannot be read.</exception>
    byte[] Read(string path, int limit);
}
