using System.Text;
using Aperture.Watch;

namespace Aperture.Machine.Console;

/// <summary>Text into a queue, whose reader nobody waits for: what does not fit is left out as a whole.</summary>
internal sealed class QueueWriter(OutputQueue queue) : TextWriter
{
    /// <inheritdoc/>
    public override Encoding Encoding => Encoding.UTF8;

    /// <inheritdoc/>
    public override void Write(char value) => Write(value.ToString());

    /// <inheritdoc/>
    public override void Write(string? value) => queue.TryWrite(Encoding.GetBytes(value ?? ""));

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            queue.Dispose();
        }

        base.Dispose(disposing);
    }
}
