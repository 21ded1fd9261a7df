namespace Aperture.Vfio.Tests;

/// <summary>A file of zeros that stands for a device's regions.</summary>
internal sealed class TempFile : IDisposable
{
    private readonly TemporaryFile _file = new([]);

    public TempFile(long size)
    {
        using FileStream file = File.OpenWrite(Path);
        file.SetLength(size);
    }

    public string Path => _file.Path;

    public void Dispose() => _file.Dispose();
}
