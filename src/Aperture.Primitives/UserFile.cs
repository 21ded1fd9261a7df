using Microsoft.Win32.SafeHandles;

namespace Aperture;

/// <summary>Files under the names that users give them, which may be symbolic links.</summary>
public static class UserFile
{
    /// <summary>Bytes of the file that <paramref name="path"/> leads to; null when there is none, or it has no length of its own (a folder, a pipe).</summary>
    /// <exception cref="IOException">The links go round in circles.</exception>
    /// <exception cref="UnauthorizedAccessException">A link leads to what this user may not read.</exception>
    public static ulong? Length(string path)
    {
        // The runtime's length is a link's own.
        FileInfo file = new(path);
        if (file.LinkTarget is null)
        {
            return file.Exists ? (ulong)file.Length : null;
        }

        try
        {
            using SafeFileHandle handle = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            return (ulong)RandomAccess.GetLength(handle);
        }
        catch (Exception fault) when (fault is FileNotFoundException or DirectoryNotFoundException or NotSupportedException)
        {
            return null;
        }
    }

    /// <summary>True when <paramref name="path"/> leads to something that is there. The runtime's answer for a link that dangles is yes.</summary>
    public static bool Exists(string path) => Path.Exists(path) && Path.Exists(Behind(path));

    /// <summary>Where the links end that <paramref name="path"/> begins; the file there need not exist. The path itself when it is no link.</summary>
    public static string Behind(string path)
    {
        try
        {
            FileInfo file = new(path);
            return file.LinkTarget is null ? path : file.ResolveLinkTarget(returnFinalTarget: true)?.FullName ?? path;
        }
        catch (IOException)
        {
            // Links that go round in circles lead nowhere; who opens the path is told so.
            return path;
        }
    }
}
