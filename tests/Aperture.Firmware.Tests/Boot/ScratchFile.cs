namespace Aperture.Firmware.Tests.Boot;

/// <summary>A file that lives as long as the test.</summary>
internal sealed class ScratchFile : IDisposable
{
    public ScratchFile(ReadOnlySpan<byte> bytes)
    {
        Path = System.IO.Path.Combine(System.IO.Path.GetTempPath(), $"aperture-{Guid.NewGuid():N}.bin");
        File.WriteAllBytes(Path, bytes);
    }

    public string Path { get; }

    public void Dispose() => File.Delete(Path);
}
