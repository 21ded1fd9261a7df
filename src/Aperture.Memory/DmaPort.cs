using System.Buffers.Binary;

namespace Aperture.Memory;

/// <summary>
/// One device's bus mastering. RAM is accessed directly; device registers are dispatched like a CPU access, in naturally aligned pieces;
/// the device's own regions are refused, as is everything while <see cref="IsEnabled"/> is false. A transfer is checked and carried out on one view of the map,
/// and what is dispatched counts in the calling thread's cells. Any thread; nothing throws.
/// </summary>
public sealed class DmaPort : IDma
{
    // A guest can aim device A at B's registers and B at A's: each step is one handler deeper on the stack.
    private const int MaxDepth = 4;

    [ThreadStatic]
    private static int _depth;

    private readonly AddressSpace _space;
    private readonly Dispatcher _dispatcher;
    private readonly Func<Region, bool> _isOwn;
    private volatile bool _enabled;

    /// <summary>
    /// Makes a port. <paramref name="isOwn"/> says which regions belong to the device itself; it is called on any thread and must not allocate.
    /// </summary>
    public DmaPort(AddressSpace space, Dispatcher dispatcher, Func<Region, bool> isOwn, bool enabled = true)
    {
        ArgumentNullException.ThrowIfNull(space);
        ArgumentNullException.ThrowIfNull(dispatcher);
        ArgumentNullException.ThrowIfNull(isOwn);
        _space = space;
        _dispatcher = dispatcher;
        _isOwn = isOwn;
        _enabled = enabled;
    }

    /// <summary>Whether the device may master the bus (PCI Local Bus 3.0, section 6.2.2, command bit 2). Written by whoever applies config writes.</summary>
    public bool IsEnabled
    {
        get => _enabled;
        set => _enabled = value;
    }

    /// <inheritdoc/>
    public bool Read(GuestAddress address, Span<byte> destination)
    {
        if (!_enabled || !AddressRange.Fits(address, (ulong)destination.Length))
        {
            destination.Fill(0xFF);
            return false;
        }

        FlatView view = _space.View;
        bool whole = true;
        while (!destination.IsEmpty)
        {
            int length = view.Extent(address, destination.Length, out int index);
            Span<byte> part = destination[..length];
            whole &= ReadRun(view, index, address, part);
            destination = destination[length..];
            address += (ulong)length;
        }

        return whole;
    }

    /// <inheritdoc/>
    public bool Write(GuestAddress address, ReadOnlySpan<byte> source)
    {
        if (!_enabled || !AddressRange.Fits(address, (ulong)source.Length))
        {
            return false;
        }

        FlatView view = _space.View;
        bool whole = true;
        while (!source.IsEmpty)
        {
            int length = view.Extent(address, source.Length, out int index);
            whole &= WriteRun(view, index, address, source[..length]);
            source = source[length..];
            address += (ulong)length;
        }

        return whole;
    }

    private bool ReadRun(FlatView view, int index, GuestAddress address, Span<byte> destination)
    {
        if (index < 0 || _isOwn(view.At(index).Region.Origin))
        {
            destination.Fill(0xFF);
            return false;
        }

        FlatRange run = view.At(index);
        if (run.Region.Ram is { } ram)
        {
            ram.Read(run.Region.RamOffset + run.OffsetOf(address), destination);
            return true;
        }

        if (_depth == MaxDepth)
        {
            destination.Fill(0xFF);
            return false;
        }

        _depth++;
        try
        {
            return DispatchRead(view, address, destination);
        }
        finally
        {
            _depth--;
        }
    }

    private bool WriteRun(FlatView view, int index, GuestAddress address, ReadOnlySpan<byte> source)
    {
        if (index < 0 || _isOwn(view.At(index).Region.Origin))
        {
            return false;
        }

        FlatRange run = view.At(index);
        if (run.Region is { Ram: { } ram, IsReadOnly: false })
        {
            ram.Write(run.Region.RamOffset + run.OffsetOf(address), source);
            return true;
        }

        // Read-only memory that nobody watches drops the write: not carried out.
        if (run.Region.Handler is null || _depth == MaxDepth)
        {
            return false;
        }

        _depth++;
        try
        {
            return DispatchWrite(view, address, source);
        }
        finally
        {
            _depth--;
        }
    }

    private bool DispatchRead(FlatView view, GuestAddress address, Span<byte> destination)
    {
        Span<byte> bytes = stackalloc byte[8];
        bool whole = true;
        while (!destination.IsEmpty)
        {
            int size = PieceSize(address, destination.Length);
            whole &= _dispatcher.Read(view, address, size, out ulong value) == AccessResult.Ok;
            BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
            bytes[..size].CopyTo(destination);
            destination = destination[size..];
            address += (ulong)size;
        }

        return whole;
    }

    private bool DispatchWrite(FlatView view, GuestAddress address, ReadOnlySpan<byte> source)
    {
        Span<byte> bytes = stackalloc byte[8];
        bool whole = true;
        while (!source.IsEmpty)
        {
            int size = PieceSize(address, source.Length);
            source[..size].CopyTo(bytes);
            whole &= _dispatcher.Write(view, address, size, BinaryPrimitives.ReadUInt64LittleEndian(bytes)) == AccessResult.Ok;
            source = source[size..];
            address += (ulong)size;
        }

        return whole;
    }

    // Up to the next multiple of 8, so that whole words reach the handler whole.
    private static int PieceSize(GuestAddress address, int left) => Math.Min(left, 8 - (int)(address.Value & 7));
}
