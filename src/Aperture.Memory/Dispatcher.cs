using System.Numerics;
using System.Runtime.CompilerServices;

namespace Aperture.Memory;

/// <summary>
/// Carries an access that left the guest to whatever answers at its address. Handlers see naturally aligned accesses of 1, 2, 4 or 8 bytes
/// inside one region only: everything else is split, lowest address first. Any thread, no lock, no allocation; nothing the guest does throws.
/// </summary>
public sealed class Dispatcher
{
    private readonly AddressSpace _space;

    /// <summary>Makes a dispatcher for one space.</summary>
    public Dispatcher(AddressSpace space, UnclaimedLog unclaimed)
    {
        ArgumentNullException.ThrowIfNull(space);
        ArgumentNullException.ThrowIfNull(unclaimed);
        _space = space;
        Unclaimed = unclaimed;
    }

    /// <summary>Where accesses that nothing answered are counted.</summary>
    public UnclaimedLog Unclaimed { get; }

    /// <summary>
    /// Reads <paramref name="size"/> (1 to 8) bytes, little-endian, zero-extended. Bytes that nothing answers read as ones; the result is then
    /// <see cref="AccessResult.Unclaimed"/>.
    /// </summary>
    public AccessResult Read(ref LookupCache cache, GuestAddress address, int size, out ulong value)
    {
        // The handler that answered last, while the map is still the same: one comparison, no search.
        FlatView view = _space.View;
        return IsNatural(address, size) && cache.Last.Holds(view, address, size, out ulong offset)
            ? Read(in cache.Last, offset, address, size, out value)
            : ReadElsewhere(view, ref cache, address, size, out value);
    }

    /// <summary>
    /// Writes the low <paramref name="size"/> (1 to 8) bytes of <paramref name="value"/>, little-endian. Bytes that nothing answers are dropped; the
    /// result is then <see cref="AccessResult.Unclaimed"/>. Writes to read-only memory without a handler are dropped and are not unclaimed.
    /// </summary>
    public AccessResult Write(ref LookupCache cache, GuestAddress address, int size, ulong value)
    {
        FlatView view = _space.View;
        return IsNatural(address, size) && cache.Last.Holds(view, address, size, out ulong offset)
            ? Write(in cache.Last, offset, address, size, value)
            : WriteElsewhere(view, ref cache, address, size, value);
    }

    /// <summary>Reads as <see cref="Read(ref LookupCache, GuestAddress, int, out ulong)"/> does, from a view that the caller already decided by.</summary>
    internal AccessResult Read(FlatView view, GuestAddress address, int size, out ulong value) => ReadPieces(view, address, size, out value);

    /// <summary>Writes, likewise.</summary>
    internal AccessResult Write(FlatView view, GuestAddress address, int size, ulong value) => WritePieces(view, address, size, value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private AccessResult Read(in CachedRun run, ulong offset, GuestAddress address, int size, out ulong value)
    {
        run.Cell.Reads++;
        ulong ones = AccessWidth.AllOnes(size);
        if (run.Handler.Read(offset, size, out value) == AccessResult.Ok)
        {
            value &= ones;
            return AccessResult.Ok;
        }

        value = ones;
        Unclaimed.Record(address, size, isWrite: false);
        return AccessResult.Unclaimed;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private AccessResult Write(in CachedRun run, ulong offset, GuestAddress address, int size, ulong value)
    {
        run.Cell.Writes++;
        if (run.Handler.Write(offset, size, value & AccessWidth.AllOnes(size)) == AccessResult.Ok)
        {
            return AccessResult.Ok;
        }

        Unclaimed.Record(address, size, isWrite: true);
        return AccessResult.Unclaimed;
    }

    // Apart, and not inlined, so that the way to the last handler stays short.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private AccessResult ReadElsewhere(FlatView view, ref LookupCache cache, GuestAddress address, int size, out ulong value)
    {
        if (IsNatural(address, size))
        {
            if (cache.Before.Holds(view, address, size, out ulong offset))
            {
                return Read(in cache.Before, offset, address, size, out value);
            }

            int index = view.IndexOf(address, ref cache);
            if (index >= 0 && view.At(index).Range.Last - address >= (ulong)(size - 1))
            {
                AccessCell cell = cache.Remember(view, in view.At(index));
                AccessResult result = ReadRun(view.At(index), cell, address, size, out value);
                if (result != AccessResult.Ok)
                {
                    Unclaimed.Record(address, size, isWrite: false);
                }

                return result;
            }
        }

        return ReadPieces(view, address, size, out value);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private AccessResult WriteElsewhere(FlatView view, ref LookupCache cache, GuestAddress address, int size, ulong value)
    {
        if (IsNatural(address, size))
        {
            if (cache.Before.Holds(view, address, size, out ulong offset))
            {
                return Write(in cache.Before, offset, address, size, value);
            }

            int index = view.IndexOf(address, ref cache);
            if (index >= 0 && view.At(index).Range.Last - address >= (ulong)(size - 1))
            {
                AccessCell cell = cache.Remember(view, in view.At(index));
                AccessResult result = WriteRun(view.At(index), cell, address, size, value);
                if (result != AccessResult.Ok)
                {
                    Unclaimed.Record(address, size, isWrite: true);
                }

                return result;
            }
        }

        return WritePieces(view, address, size, value);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool IsNatural(GuestAddress address, int size)
    {
        if ((uint)(size - 1) > 7)
        {
            Refuse(size);
        }

        return BitOperations.IsPow2(size) && address.IsAligned((ulong)size);
    }

    private static void Refuse(int size) =>
        throw new ArgumentOutOfRangeException(nameof(size), $"an access has 1 to 8 bytes, not {size}");

    private static AccessResult ReadRun(in FlatRange run, AccessCell cell, GuestAddress address, int size, out ulong value)
    {
        Region region = run.Region;
        ulong offset = run.OffsetOf(address);
        cell.Reads++;
        if (region.Ram is { } ram)
        {
            value = ReadRam(ram, region.RamOffset + offset, size);
            return AccessResult.Ok;
        }

        AccessResult result = region.Handler!.Read(offset, size, out value);
        ulong ones = AccessWidth.AllOnes(size);
        value = result == AccessResult.Ok ? value & ones : ones;
        return result;
    }

    // RAM exits only where a page could not be mapped.
    private static ulong ReadRam(RamBlock ram, ulong at, int size) => size switch
    {
        1 => ram.Read<byte>(at),
        2 => ram.Read<ushort>(at),
        4 => ram.Read<uint>(at),
        _ => ram.Read<ulong>(at),
    };

    private static AccessResult WriteRun(in FlatRange run, AccessCell cell, GuestAddress address, int size, ulong value)
    {
        Region region = run.Region;
        ulong offset = run.OffsetOf(address);
        cell.Writes++;
        value &= AccessWidth.AllOnes(size);
        if (region.Ram is not { } ram || region.IsReadOnly)
        {
            return region.Handler?.Write(offset, size, value) ?? AccessResult.Ok;
        }

        WriteRam(ram, region.RamOffset + offset, size, value);
        return AccessResult.Ok;
    }

    private static void WriteRam(RamBlock ram, ulong at, int size, ulong value)
    {
        switch (size)
        {
            case 1: ram.Write(at, (byte)value); break;
            case 2: ram.Write(at, (ushort)value); break;
            case 4: ram.Write(at, (uint)value); break;
            default: ram.Write(at, value); break;
        }
    }

    private AccessResult ReadPieces(FlatView view, GuestAddress address, int size, out ulong value)
    {
        value = AccessWidth.AllOnes(size);
        if (!AddressRange.Fits(address, (ulong)size))
        {
            Unclaimed.Record(address, size, isWrite: false);
            return AccessResult.Unclaimed;
        }

        int missed = -1;
        for (int done = 0; done < size;)
        {
            GuestAddress at = address + (ulong)done;
            int piece = PieceAt(view, at, size - done, out int index);
            ulong part = AccessWidth.AllOnes(piece);
            if (index >= 0 && ReadRun(view.At(index), view.At(index).Region.Counts!.Mine, at, piece, out ulong read) == AccessResult.Ok)
            {
                value = value & ~(part << (8 * done)) | read << (8 * done);
            }
            else if (missed < 0)
            {
                missed = done;
            }

            done += piece;
        }

        return Conclude(address, size, missed, isWrite: false);
    }

    private AccessResult WritePieces(FlatView view, GuestAddress address, int size, ulong value)
    {
        if (!AddressRange.Fits(address, (ulong)size))
        {
            Unclaimed.Record(address, size, isWrite: true);
            return AccessResult.Unclaimed;
        }

        int missed = -1;
        for (int done = 0; done < size;)
        {
            GuestAddress at = address + (ulong)done;
            int piece = PieceAt(view, at, size - done, out int index);
            if ((index < 0 || WriteRun(view.At(index), view.At(index).Region.Counts!.Mine, at, piece, value >> (8 * done)) != AccessResult.Ok) && missed < 0)
            {
                missed = done;
            }

            done += piece;
        }

        return Conclude(address, size, missed, isWrite: true);
    }

    // One entry per access, at the first byte that nothing answered for.
    private AccessResult Conclude(GuestAddress address, int size, int missed, bool isWrite)
    {
        if (missed < 0)
        {
            return AccessResult.Ok;
        }

        Unclaimed.Record(address + (ulong)missed, size - missed, isWrite);
        return AccessResult.Unclaimed;
    }

    // The largest naturally aligned power of two that is inside both the access and the run or gap at its start.
    private static int PieceAt(FlatView view, GuestAddress at, int left, out int index)
    {
        int extent = view.Extent(at, left, out index);
        int piece = 1 << BitOperations.Log2((uint)extent);
        while (!at.IsAligned((ulong)piece))
        {
            piece >>= 1;
        }

        return piece;
    }
}
