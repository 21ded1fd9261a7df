namespace Aperture.Host.Reading;

/// <summary>
/// Follows links inside a tree. The top is a wall: <c>..</c> and absolute targets end there, as under chroot, so that a captured link never names a file of
/// this machine.
/// </summary>
internal sealed class TreeWalk(IHostTree tree)
{
    private readonly Dictionary<string, string?> _directories = new(StringComparer.Ordinal);

    // Paths without links that were seen to be directories: every path below one passes through it, and asking costs a system call each time.
    private readonly HashSet<string> _seen = new(StringComparer.Ordinal);

    /// <summary>The tree that is walked.</summary>
    internal IHostTree Tree => tree;

    /// <summary>Joins two parts of a path; either may be empty.</summary>
    internal static string Join(string left, string right) => left.Length == 0 ? right : right.Length == 0 ? left : left + "/" + right;

    /// <summary>The last name of a path.</summary>
    internal static string NameOf(string path) => path[(path.LastIndexOf('/') + 1)..];

    /// <summary>Everything before the last name of a path.</summary>
    internal static string ParentOf(string path) => path.LastIndexOf('/') is var slash && slash < 0 ? "" : path[..slash];

    /// <summary>The path without links that <paramref name="path"/> leads to; null when it leads nowhere.</summary>
    /// <exception cref="ApertureException">Links go round in circles.</exception>
    internal string? Resolve(string path) => Resolve(path, out _);

    /// <summary>True when <paramref name="path"/> leads to a directory.</summary>
    internal bool IsDirectory(string path) => Resolve(path, out TreeNodeKind kind) is not null && kind == TreeNodeKind.Directory;

    /// <summary>The names in the directory that <paramref name="path"/> leads to; none when there is no such directory.</summary>
    internal IReadOnlyList<string> List(string path) =>
        Resolve(path, out TreeNodeKind kind) is { } place && kind == TreeNodeKind.Directory ? tree.List(place) : [];

    /// <summary>The bytes of the file that <paramref name="path"/> leads to; null when there is none.</summary>
    internal byte[]? Read(string path, int limit) =>
        Resolve(path, out TreeNodeKind kind) is { } place && kind == TreeNodeKind.File ? tree.Read(place, limit) : null;

    /// <summary>The last name of the target of the link at <paramref name="path"/>, whether or not anything is there; null when it is no link.</summary>
    internal string? LinkName(string path)
    {
        string? parent = Resolve(ParentOf(path));
        if (parent is null || Join(parent, NameOf(path)) is var place && tree.Kind(place) != TreeNodeKind.Link)
        {
            return null;
        }

        string name = NameOf(tree.ReadLink(place).TrimEnd('/'));
        return name is "" or "." or ".." ? null : name;
    }

    private string? Resolve(string path, out TreeNodeKind kind)
    {
        string parent = ParentOf(path);
        if (parent.Length == 0)
        {
            return Follow(path, out kind);
        }

        // Attributes of one device share their directory: it is resolved once.
        if (!_directories.TryGetValue(parent, out string? place))
        {
            place = Follow(parent, out _);
            _directories.Add(parent, place);
        }

        kind = TreeNodeKind.None;
        return place is null ? null : Follow(Join(place, NameOf(path)), out kind);
    }

    private TreeNodeKind KindOf(string place)
    {
        if (_seen.Contains(place))
        {
            return TreeNodeKind.Directory;
        }

        TreeNodeKind kind = tree.Kind(place);
        if (kind == TreeNodeKind.Directory)
        {
            _seen.Add(place);
        }

        return kind;
    }

    /// <summary>Follows <paramref name="path"/> name by name from the top; <paramref name="kind"/> is what is at its end, never a link.</summary>
    private string? Follow(string path, out TreeNodeKind kind)
    {
        List<string> done = [];
        Stack<string> todo = new();
        Push(todo, path);
        int links = 0;
        kind = TreeNodeKind.Directory;
        while (todo.TryPop(out string? name))
        {
            if (name == "..")
            {
                if (done.Count > 0)
                {
                    done.RemoveAt(done.Count - 1);
                }

                kind = TreeNodeKind.Directory;
                continue;
            }

            done.Add(name);
            string place = string.Join('/', done);
            kind = KindOf(place);
            switch (kind)
            {
                case TreeNodeKind.None:
                case TreeNodeKind.File when todo.Count > 0:
                    return null;
                case TreeNodeKind.Link when ++links > HostLimits.Links:
                    throw new ApertureException($"{tree.Name}: {path}: its links go round in circles (more than {HostLimits.Links} were followed)");
                case TreeNodeKind.Link:
                    string target = tree.ReadLink(place);
                    done.RemoveAt(done.Count - 1);
                    if (target.StartsWith('/'))
                    {
                        done.Clear();
                    }

                    Push(todo, target);
                    kind = TreeNodeKind.Directory;
                    break;
                default:
                    break;
            }
        }

        return string.Join('/', done);
    }

    private static void Push(Stack<string> todo, string path)
    {
        string[] names = path.Split('/');
        for (int i = names.Length - 1; i >= 0; i--)
        {
            if (names[i] is not ("" or "."))
            {
                todo.Push(names[i]);
            }
        }
    }
}
