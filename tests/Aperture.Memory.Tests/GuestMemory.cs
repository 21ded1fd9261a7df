using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Aperture.Memory.Tests;

/// <summary>
/// Typed, bounds-checked access to the RAM of a space, from any thread. Only RAM: device registers are not touched. Nothing throws;
/// false means that at least one byte was not RAM (or, for a write, was read-only). Each call works on one view from start to end.
/// The memory stays mapped for as long as the space is not disposed (see <see cref="AddressSpace"/>).
/// </summary>
internal sealed class GuestMemory
{
    private readonly AddressSpace _space;

    /// <summary>Makes access to the RAM of <paramref name="space"/>.</summary>
    public GuestMemory(AddressSpace space)
    {
        ArgumentNullException.ThrowIfNull(space);
        _space = space;
    }

    /// <summary>
    /// Reads a value (in the host's byte order, as x86 and arm64 guests have it). One load with acquire order when it has 1, 2, 4 or 8 bytes,
    /// is naturally aligned and lies in one range. On false <paramref name="value"/> is zero.
    /// </summary>
    public bool TryRead<T>(GuestAddress address, out T value) where T : unmanaged
    {
        FlatView view = _space.View;
        int size = Unsafe.SizeOf<T>();
        int index = view.IndexOf(address);
        if (index >= 0 && view.At(index) is { Region.Ram: { } ram } run && run.Range.Last - address >= (ulong)(size - 1))
        {
            value = ram.Read<T>(run.Region.RamOffset + run.OffsetOf(address));
            return true;
        }

        value = default;
        if (Read(view, address, MemoryMarshal.AsBytes(new Span<T>(ref value))))
        {
            return true;
        }

        value = default;
        return false;
    }

    /// <summary>
    /// Writes a value; one store with release order under the conditions of <see cref="TryRead{T}"/>. On false the bytes that are RAM are written.
    /// </summary>
    public bool TryWrite<T>(GuestAddress address, T value) where T : unmanaged
    {
        FlatView view = _space.View;
        int size = Unsafe.SizeOf<T>();
        int index = view.IndexOf(address);
        if (index >= 0 && view.At(index) is { Region: { Ram: { } ram, IsReadOnly: false } } run && run.Range.Last - address >= (ulong)(size - 1))
        {
            ram.Write(run.Region.RamOffset + run.OffsetOf(address), value);
            return true;
        }

        return Write(view, address, MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in value)));
    }

    /// <summary>Reads bytes, over as many ranges as they take. On false what is not RAM reads as ones.</summary>
    public bool Read(GuestAddress address, Span<byte> destination) => Read(_space.View, address, destination);

    /// <summary>Writes bytes, over as many ranges as they take. On false the bytes that are writable RAM are written.</summary>
    public bool Write(GuestAddress address, ReadOnlySpan<byte> source) => Write(_space.View, address, source);

    private static bool Read(FlatView view, GuestAddress address, Span<byte> destination)
    {
        if (!AddressRange.Fits(address, (ulong)destination.Length))
        {
            destination.Fill(0xFF);
            return false;
        }

        bool whole = true;
        while (!destination.IsEmpty)
        {
            int length = view.Extent(address, destination.Length, out int index);
            Span<byte> part = destination[..length];
            if (index >= 0 && view.At(index) is { Region.Ram: { } ram } run)
            {
                ram.Read(run.Region.RamOffset + run.OffsetOf(address), part);
            }
            else
            {
                part.Fill(0xFF);
                whole = false;
            }

            destination = destination[length..];
            address += (ulong)length;
        }

        return whole;
    }

    private static bool Write(FlatView view, GuestAddress address, ReadOnlySpan<byte> source)
    {
        if (!AddressRange.Fits(address, (ulong)source.Length))
        {
            return false;
        }

        bool whole = true;
        while (!source.IsEmpty)
        {
            int length = view.Extent(address, source.Length, out int index);
            if (index >= 0 && view.At(index) is { Region: { Ram: { } ram, IsReadOnly: false } } run)
            {
                ram.Write(run.Region.RamOffset + run.OffsetOf(address), source[..length]);
            }
            else
            {
                whole = false;
            }

            source = source[length..];
            address += (ulong)length;
        }

        return whole;
    }
}
