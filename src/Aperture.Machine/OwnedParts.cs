namespace Aperture.Machine;

/// <summary>Parts that end together, the last one first. Not thread-safe.</summary>
internal sealed class OwnedParts : IDisposable
{
    private readonly Stack<IDisposable> _parts = new();

    /// <summary>Takes <paramref name="part"/> over.</summary>
    public T Own<T>(T part)
        where T : IDisposable
    {
        _parts.Push(part);
        return part;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        while (_parts.TryPop(out IDisposable? part))
        {
            part.Dispose();
        }
    }
}
