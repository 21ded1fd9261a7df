using System.Runtime.CompilerServices;

namespace Aperture;

/// <summary>How a device answered an access. Guest input never throws: a handler answers with one of these.</summary>
public enum AccessResult : byte
{
    /// <summary>The access was carried out.</summary>
    Ok,

    /// <summary>Nothing lives there: the caller supplies all-ones for a read, drops a write, and counts it.</summary>
    Unclaimed,
}

/// <summary>
/// What answers trapped accesses to a region, a BAR or a port range. Called on vCPU threads, several at once: the implementation
/// locks for itself. It must not throw for anything the guest can cause and must not allocate.
/// </summary>
public interface IAccessHandler
{
    /// <summary>
    /// Reads <paramref name="size"/> (1, 2, 4 or 8) bytes at <paramref name="offset"/> from the region's start, little-endian, zero-extended.
    /// </summary>
    AccessResult Read(ulong offset, int size, out ulong value);

    /// <summary>Writes the low <paramref name="size"/> (1, 2, 4 or 8) bytes of <paramref name="value"/> at <paramref name="offset"/>, little-endian.</summary>
    AccessResult Write(ulong offset, int size, ulong value);
}

/// <summary>Helpers for access widths.</summary>
public static class AccessWidth
{
    /// <summary>All-ones at the access width: what a master abort reads as.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong AllOnes(int size) => size >= 8 ? ulong.MaxValue : (1UL << (8 * size)) - 1;
}
