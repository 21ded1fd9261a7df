using Aperture.Memory;

namespace Aperture.Board.Virt;

/// <summary>The memory through which processors without I/O instructions reach the ports: port n is byte n.</summary>
internal sealed class PortWindow(Dispatcher ports) : IAccessHandler
{
    // No port cycle is wider.
    private const int Widest = 4;

    /// <inheritdoc/>
    public AccessResult Read(ulong offset, int size, out ulong value)
    {
        // Any thread may come here, so nothing of a lookup is kept; the ports count what nobody answers.
        LookupCache cache = default;
        ports.Read(ref cache, new GuestAddress(offset), Math.Min(size, Widest), out value);
        if (size > Widest)
        {
            ports.Read(ref cache, new GuestAddress(offset + Widest), size - Widest, out ulong high);
            value |= high << (8 * Widest);
        }

        return AccessResult.Ok;
    }

    /// <inheritdoc/>
    public AccessResult Write(ulong offset, int size, ulong value)
    {
        LookupCache cache = default;
        ports.Write(ref cache, new GuestAddress(offset), Math.Min(size, Widest), value);
        if (size > Widest)
        {
            ports.Write(ref cache, new GuestAddress(offset + Widest), size - Widest, value >> (8 * Widest));
        }

        return AccessResult.Ok;
    }
}
