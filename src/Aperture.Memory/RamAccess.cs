using System.Runtime.CompilerServices;

namespace Aperture.Memory;

/// <summary>
/// Loads and stores of memory that a guest shares. Naturally aligned accesses of 1, 2, 4 and 8 bytes are single instructions (virtqueue
/// indices and descriptors rely on it: Virtual I/O Device 1.2, section 2.7), loads with acquire and stores with release order.
/// The caller has checked the bounds.
/// </summary>
// SAFETY: works on pointers that RamBlock has checked; never steps outside the bytes that the caller vouches for.
internal static unsafe class RamAccess
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static T Load<T>(byte* source) where T : unmanaged
    {
        // SAFETY: the caller vouches for sizeof(T) bytes at source; the casts keep the width and are only taken when aligned.
        if (((nuint)source & (nuint)(sizeof(T) - 1)) == 0)
        {
            switch (sizeof(T))
            {
                case 1: return Unsafe.BitCast<byte, T>(Volatile.Read(ref *source));
                case 2: return Unsafe.BitCast<ushort, T>(Volatile.Read(ref *(ushort*)source));
                case 4: return Unsafe.BitCast<uint, T>(Volatile.Read(ref *(uint*)source));
                case 8: return Unsafe.BitCast<ulong, T>(Volatile.Read(ref *(ulong*)source));
                default: break;
            }
        }

        return Unsafe.ReadUnaligned<T>(source);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Store<T>(byte* destination, T value) where T : unmanaged
    {
        // SAFETY: as in Load.
        if (((nuint)destination & (nuint)(sizeof(T) - 1)) == 0)
        {
            switch (sizeof(T))
            {
                case 1: Volatile.Write(ref *destination, Unsafe.BitCast<T, byte>(value)); return;
                case 2: Volatile.Write(ref *(ushort*)destination, Unsafe.BitCast<T, ushort>(value)); return;
                case 4: Volatile.Write(ref *(uint*)destination, Unsafe.BitCast<T, uint>(value)); return;
                case 8: Volatile.Write(ref *(ulong*)destination, Unsafe.BitCast<T, ulong>(value)); return;
                default: break;
            }
        }

        Unsafe.WriteUnaligned(destination, value);
    }

    internal static void CopyOut(byte* source, Span<byte> destination)
    {
        // SAFETY: the caller vouches for destination.Length bytes at source.
        switch (destination.Length)
        {
            case 1: destination[0] = Load<byte>(source); break;
            case 2: Unsafe.WriteUnaligned(ref destination[0], Load<ushort>(source)); break;
            case 4: Unsafe.WriteUnaligned(ref destination[0], Load<uint>(source)); break;
            case 8: Unsafe.WriteUnaligned(ref destination[0], Load<ulong>(source)); break;
            default: new ReadOnlySpan<byte>(source, destination.Length).CopyTo(destination); break;
        }
    }

    internal static void CopyIn(byte* destination, ReadOnlySpan<byte> source)
    {
        // SAFETY: the caller vouches for source.Length bytes at destination.
        switch (source.Length)
        {
            case 1: Store(destination, source[0]); break;
            case 2: Store(destination, Unsafe.ReadUnaligned<ushort>(in source[0])); break;
            case 4: Store(destination, Unsafe.ReadUnaligned<uint>(in source[0])); break;
            case 8: Store(destination, Unsafe.ReadUnaligned<ulong>(in source[0])); break;
            default: source.CopyTo(new Span<byte>(destination, source.Length)); break;
        }
    }
}
