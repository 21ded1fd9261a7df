namespace Aperture.TestKit;

/// <summary>A file that lives as long as the test.</summary>
public sealed class TemporaryFile : IDisposable
{
    public TemporaryFile(ReadOnlySpan<byte> bytes) => File.WriteAllBytes(Path, bytes);

    public string Path { get; } = TestScratch.Next(".bin");

    public void Dispose() => File.Delete(Path);
}
