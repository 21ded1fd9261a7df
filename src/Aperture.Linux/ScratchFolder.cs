namespace Aperture.Linux;

/// <summary>
/// A temporary folder that only this user can enter, removed on disposal. A process that is killed cannot do that; the next folder of the same prefix does it
/// then. A lock on a file in it (flock(2)), which ends with its process, says that a folder is in use. Removed is only what this class made for this user, what
/// no process holds, and what no running command was given: a killed process may leave a child that works in it.
/// </summary>
public sealed class ScratchFolder : IDisposable
{
    private const string Mark = ".aperture-scratch";
    private const string Files = "files";
    private const int Attempts = 10;
    private readonly string _outer;
    private readonly FileStream _held;

    /// <summary>Makes a folder in one whose name is <paramref name="prefix"/> and some letters, below the system's folder for temporary files.</summary>
    /// <param name="prefix">The same for every folder of a kind.</param>
    /// <param name="parent">Another folder to make it in, or null.</param>
    /// <exception cref="IOException">It cannot be made.</exception>
    /// <exception cref="UnauthorizedAccessException">It may not be made.</exception>
    public ScratchFolder(string prefix, string? parent = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(prefix);
        for (int attempt = 1; ; attempt++)
        {
            _outer = Make(prefix, parent);
            if (Hold(_outer, FileMode.CreateNew) is { } held)
            {
                _held = held;
                Path = Directory.CreateDirectory(System.IO.Path.Combine(_outer, Files)).FullName;
                break;
            }

            // Another process took it for one that was left, in the moment before it was held.
            if (attempt == Attempts)
            {
                throw new IOException($"{_outer}: {Attempts} folders were taken away or could not be locked");
            }
        }

        // Where files cannot be locked nobody can tell what is in use.
        if (Hold(_outer, FileMode.Open) is not { } second)
        {
            RemoveLeft(System.IO.Path.GetDirectoryName(_outer)!, prefix);
        }
        else
        {
            second.Dispose();
        }
    }

    /// <summary>The absolute path of the folder, which is empty at first; the lock's file lies beside it.</summary>
    public string Path { get; }

    /// <inheritdoc/>
    public void Dispose()
    {
        // Held until nothing is left, or another process would remove it at the same time.
        try
        {
            Directory.Delete(_outer, recursive: true);
        }
        catch (DirectoryNotFoundException)
        {
        }
        finally
        {
            _held.Dispose();
        }
    }

    private static string Make(string prefix, string? parent)
    {
        if (parent is null || OperatingSystem.IsWindows())
        {
            return Directory.CreateTempSubdirectory(prefix).FullName;
        }

        string path = System.IO.Path.Combine(System.IO.Path.GetFullPath(parent), prefix + System.IO.Path.GetRandomFileName());
        return Directory.CreateDirectory(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute).FullName;
    }

    // The lock of a folder that is there; null when another process has it, or the folder is gone.
    private static FileStream? Hold(string folder, FileMode mode)
    {
        string mark = System.IO.Path.Combine(folder, Mark);
        try
        {
            // FileShare.None is flock(LOCK_EX | LOCK_NB) on Unix.
            FileStream held = new(mark, mode, FileAccess.ReadWrite, FileShare.None, bufferSize: 0);
            if (File.Exists(mark))
            {
                return held;
            }

            held.Dispose();
            return null;
        }
        catch (IOException)
        {
            return null;
        }
    }

    private static void RemoveLeft(string parent, string prefix)
    {
        foreach (string folder in Directory.EnumerateDirectories(parent, prefix + "*"))
        {
            if (IsOurs(folder, FileKind.Folder) && IsOurs(System.IO.Path.Combine(folder, Mark), FileKind.Ordinary))
            {
                RemoveIfLeft(folder);
            }
        }
    }

    private static void RemoveIfLeft(string folder)
    {
        using FileStream? held = Hold(folder, FileMode.Open);
        if (held is null || IsNamedByACommand(folder))
        {
            return;
        }

        try
        {
            Directory.Delete(folder, recursive: true);
        }
        catch (Exception fault) when (fault is IOException or UnauthorizedAccessException)
        {
            // What cannot be removed stays; it is nobody's business here.
        }
    }

    // Nothing of another user's, and nothing behind a link: who may remove everything must not be led elsewhere.
    private static bool IsOurs(string path, FileKind kind) => FileStatus.Of(path, follow: false) is var status && status.Kind == kind
        && status.Owner == FileStatus.CurrentUser;

    private static bool IsNamedByACommand(string folder)
    {
        foreach (string process in Directory.EnumerateDirectories("/proc").Where(p => char.IsAsciiDigit(System.IO.Path.GetFileName(p)[0])))
        {
            try
            {
                if (File.ReadAllText(System.IO.Path.Combine(process, "cmdline")).Contains(folder, StringComparison.Ordinal))
                {
                    return true;
                }
            }
            catch (Exception fault) when (fault is IOException or UnauthorizedAccessException)
            {
                // It ended meanwhile.
            }
        }

        return false;
    }
}
