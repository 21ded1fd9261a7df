using System.Runtime.InteropServices;

namespace Aperture.TestKit;

/// <summary>A folder that goes away with the test, or with the test process where the test does not come to that.</summary>
/// <param name="name">What its name ends in, where that matters.</param>
public sealed class TemporaryFolder(string name = "") : IDisposable
{
    public string Path { get; } = Directory.CreateDirectory(TestScratch.Next(name)).FullName;

    public string Executable(string name, string content)
    {
        string path = System.IO.Path.Combine(Path, name);
        File.WriteAllText(path, content);
        if (!OperatingSystem.IsWindows())
        {
            File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        }

        return path;
    }

    /// <summary>The path of <paramref name="name"/> in the folder.</summary>
    public string In(string name) => System.IO.Path.Combine(Path, name);

    /// <summary>Makes a named pipe.</summary>
    public string Pipe(string name)
    {
        Assert.Equal(0, MakePipe(In(name), 0x180));
        return In(name);
    }

    /// <summary>Makes a symbolic link.</summary>
    public string Link(string name, string target) => File.CreateSymbolicLink(In(name), target).FullName;

    [DllImport("libc", EntryPoint = "mkfifo", CharSet = CharSet.Ansi)]
    private static extern int MakePipe(string path, uint mode);

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
