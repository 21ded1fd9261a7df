using System.Text;
using Aperture.Watch;

namespace Aperture.Cli.Output;

/// <summary>Prints what the person who runs a machine should hear of at once, a sentence a line. A stuck terminal holds nothing up: it misses some.</summary>
internal sealed class NoticePrinter : IEventSubscriber, IDisposable
{
    private readonly OutputQueue _queue;

    /// <summary>Makes a printer that writes to <paramref name="stream"/>, and closes it.</summary>
    public NoticePrinter(Stream stream) => _queue = new OutputQueue(stream);

    /// <inheritdoc/>
    public bool TakesEvents => false;

    /// <inheritdoc/>
    public void Take(in WatchedEvent happened) => _queue.TryWrite(Encoding.UTF8.GetBytes($"aperture: {happened.Notice}\n"));

    /// <inheritdoc/>
    public void Dispose() => _queue.Dispose();
}
