using System.Runtime.CompilerServices;

namespace Aperture;

/// <summary>A block of registers that answers one aligned 32-bit word at a time.</summary>
public interface IWordRegisters
{
    /// <summary>The word at byte offset <paramref name="offset"/> (a multiple of 4); <paramref name="lanes"/> has ones in the bits asked for.</summary>
    uint ReadWord(ulong offset, uint lanes);

    /// <summary>Writes the bits of <paramref name="value"/> that <paramref name="lanes"/> selects (whole bytes).</summary>
    void WriteWord(ulong offset, uint value, uint lanes);
}

/// <summary>A device on an 8-bit bus: wider accesses reach it as single bytes, lowest address first.</summary>
public interface IByteRegisters
{
    /// <summary>Reads the register at <paramref name="offset"/>.</summary>
    byte ReadByte(uint offset);

    /// <summary>Writes the register at <paramref name="offset"/>.</summary>
    void WriteByte(uint offset, byte value);
}

/// <summary>
/// Splits an access of any size at any offset into what a register block takes. Bytes past the block's end read as ones and are
/// dropped on write; an access wholly past it, or of a size that no bus cycle has, is unclaimed. Generic over structs or sealed classes so that nothing is
/// boxed.
/// </summary>
public static class AccessLanes
{
    /// <summary>True when <paramref name="size"/> is 1, 2, 4 or 8 and the access starts inside <paramref name="length"/> bytes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Starts(ulong offset, int size, ulong length) => size is 1 or 2 or 4 or 8 && offset < length;

    /// <summary>Reads byte by byte.</summary>
    public static AccessResult ReadBytes<T>(T device, uint length, ulong offset, int size, out ulong value)
        where T : IByteRegisters
    {
        value = ulong.MaxValue;
        if (!Starts(offset, size, length))
        {
            return AccessResult.Unclaimed;
        }

        value = 0;
        for (int i = 0; i < size; i++)
        {
            ulong at = offset + (ulong)i;
            ulong lane = at < length ? device.ReadByte((uint)at) : 0xFFUL;
            value |= lane << (8 * i);
        }

        return AccessResult.Ok;
    }

    /// <summary>Writes byte by byte.</summary>
    public static AccessResult WriteBytes<T>(T device, uint length, ulong offset, int size, ulong value)
        where T : IByteRegisters
    {
        if (!Starts(offset, size, length))
        {
            return AccessResult.Unclaimed;
        }

        for (int i = 0; i < size && offset + (ulong)i < length; i++)
        {
            device.WriteByte((uint)offset + (uint)i, (byte)(value >> (8 * i)));
        }

        return AccessResult.Ok;
    }

    /// <summary>Reads word by word; <paramref name="length"/> is a multiple of 4. Nearly every access is one whole word, so that goes straight to it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static AccessResult ReadWords<T>(T device, ulong length, ulong offset, int size, out ulong value)
        where T : IWordRegisters
    {
        if (size == 4 && (offset & 3) == 0 && offset < length)
        {
            value = device.ReadWord(offset, uint.MaxValue);
            return AccessResult.Ok;
        }

        return ReadLanes(device, length, offset, size, out value);
    }

    /// <summary>Writes word by word; <paramref name="length"/> is a multiple of 4.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static AccessResult WriteWords<T>(T device, ulong length, ulong offset, int size, ulong value)
        where T : IWordRegisters
    {
        if (size == 4 && (offset & 3) == 0 && offset < length)
        {
            device.WriteWord(offset, (uint)value, uint.MaxValue);
            return AccessResult.Ok;
        }

        return WriteLanes(device, length, offset, size, value);
    }

    private static AccessResult ReadLanes<T>(T device, ulong length, ulong offset, int size, out ulong value)
        where T : IWordRegisters
    {
        value = ulong.MaxValue;
        if (!Starts(offset, size, length))
        {
            return AccessResult.Unclaimed;
        }

        value = 0;
        for (int done = 0; done < size;)
        {
            ulong at = offset + (uint)done;
            int skip = (int)(at & 3);
            int count = Math.Min(4 - skip, size - done);
            uint lanes = Lanes(skip, count);
            ulong part = at < length ? (device.ReadWord(at & ~3UL, lanes) & lanes) >> (8 * skip) : AccessWidth.AllOnes(count);
            value |= part << (8 * done);
            done += count;
        }

        return AccessResult.Ok;
    }

    private static AccessResult WriteLanes<T>(T device, ulong length, ulong offset, int size, ulong value)
        where T : IWordRegisters
    {
        if (!Starts(offset, size, length))
        {
            return AccessResult.Unclaimed;
        }

        for (int done = 0; done < size;)
        {
            ulong at = offset + (uint)done;
            int skip = (int)(at & 3);
            int count = Math.Min(4 - skip, size - done);
            if (at >= length)
            {
                break;
            }

            device.WriteWord(at & ~3UL, (uint)(value >> (8 * done)) << (8 * skip), Lanes(skip, count));
            done += count;
        }

        return AccessResult.Ok;
    }

    private static uint Lanes(int skip, int count) => (uint)AccessWidth.AllOnes(count) << (8 * skip);
}
