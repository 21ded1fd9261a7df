using Aperture.Linux;

namespace Aperture.Cli.Demo;

/// <summary>Where the demo's guests write: the user's directory, or one that goes with the demo.</summary>
internal sealed class DemoFolder : IDisposable
{
    private readonly string _directory;
    private readonly ScratchFolder? _temporary;

    private DemoFolder(string directory, ScratchFolder? temporary) => (_directory, _temporary) = (directory, temporary);

    /// <summary>Makes the folder: <paramref name="kept"/>, or a temporary one when that is null.</summary>
    public static DemoFolder Make(string? kept)
    {
        if (kept is not null)
        {
            return new DemoFolder(Directory.CreateDirectory(kept).FullName, null);
        }

        ScratchFolder temporary = new("aperture-demo-");
        return new DemoFolder(temporary.Path, temporary);
    }

    /// <summary>The path of a file in it.</summary>
    public string File(string name) => Path.Combine(_directory, name);

    /// <summary>The lines of a file in it; none when the guest never made it.</summary>
    public string[] Lines(string name) => System.IO.File.Exists(File(name)) ? System.IO.File.ReadAllLines(File(name)) : [];

    /// <summary>The text of a file that a guest is still writing; empty before it exists.</summary>
    public static string ReadShared(string path)
    {
        if (!System.IO.File.Exists(path))
        {
            return "";
        }

        using FileStream file = new(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        using StreamReader reader = new(file);
        return reader.ReadToEnd();
    }

    /// <inheritdoc/>
    public void Dispose() => _temporary?.Dispose();
}
