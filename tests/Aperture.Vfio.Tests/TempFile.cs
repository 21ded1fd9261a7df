namespace Aperture.Vfio.Tests;

/// <summary>A file of zeros that stands for a device's regions.</summary>
internal sealed class TempFile : IDisposable
{
    public TempFile(long size)
    {
        Path = System.IO.Path.GetTempFileName();
        using FileStream file = File.OpenWrite(Path);
        file.SetLength(size);
    }

    public string Path { get; }

    public void Dispose() => File.Delete(Path);
}
