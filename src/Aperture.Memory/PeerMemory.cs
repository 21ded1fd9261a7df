using Aperture.Linux;

namespace Aperture.Memory;

/// <summary>
/// Memory of another process, mapped from a file that it passed. That process may cut the file at any moment, and touching what is gone would end this one;
/// so memory is only touched directly where the file can never shrink, and copied by the kernel elsewhere. Not thread-safe against its disposal.
/// </summary>
// SAFETY: the only pointer is the mapping's base; it is private, and every access checks its bounds and that the mapping is there.
public sealed unsafe class PeerMemory : IDisposable
{
    private readonly HostAddress _address;
    private readonly bool _isDirect;
    private readonly bool _isWritable;
    private bool _isMapped = true;

    private PeerMemory(HostAddress address, ulong size, bool isWritable, bool isDirect) =>
        (_address, Size, _isWritable, _isDirect) = (address, size, isWritable, isDirect);

    /// <summary>Bytes.</summary>
    public ulong Size { get; }

    /// <summary>Where it is in this process while it is mapped: for DMA mappings, whose pages the kernel holds by itself, and never to be touched.</summary>
    public HostAddress HostAddress => _address;

    /// <summary>
    /// Maps <paramref name="size"/> bytes of <paramref name="file"/> from <paramref name="offset"/>, a multiple of its pages. The file may be closed
    /// afterwards. 0, or an errno: EINVAL when the file has not that many bytes or is no memory, such as a pipe.
    /// </summary>
    public static int TryMap(SafeFileDescriptor file, ulong offset, ulong size, bool writable, out PeerMemory? memory)
    {
        ArgumentNullException.ThrowIfNull(file);
        memory = null;
        int errno = MemoryFile.TryLength(file, out ulong length);
        if (errno != 0 || size == 0 || offset > length || size > length - offset)
        {
            return errno != 0 ? errno : Errno.EINVAL;
        }

        errno = MemoryMap.MapShared(file, offset, size, writable, out HostAddress address);
        if (errno == 0)
        {
            // Best effort: a core dump should not hold another process's memory, nor a child map it.
            _ = MemoryMap.Advise(address, size, MemoryAdvice.DoNotDump);
            _ = MemoryMap.Advise(address, size, MemoryAdvice.DoNotFork);
            memory = new PeerMemory(address, size, writable, MemoryFile.NeverShrinks(file));
        }

        return errno;
    }

    /// <summary>
    /// Copies bytes out; false when they are not inside, or gone. 1, 2, 4 or 8 naturally aligned bytes of a file that never shrinks are one load.
    /// </summary>
    public bool Read(ulong offset, Span<byte> destination)
    {
        if (!IsInside(offset, destination.Length))
        {
            return false;
        }

        if (!_isDirect)
        {
            return GuardedCopy.TryRead(_address + offset, destination) == 0;
        }

        // SAFETY: the bytes are inside the mapping, and the file behind them cannot shrink.
        RamAccess.CopyOut((byte*)(_address + offset).Value, destination);
        return true;
    }

    /// <summary>
    /// Copies bytes in; false when they are not inside, gone, or cannot be written. 1, 2, 4 or 8 naturally aligned bytes of a file that never shrinks are one
    /// store.
    /// </summary>
    public bool Write(ulong offset, ReadOnlySpan<byte> source)
    {
        if (!_isWritable || !IsInside(offset, source.Length))
        {
            return false;
        }

        if (!_isDirect)
        {
            return GuardedCopy.TryWrite(_address + offset, source) == 0;
        }

        // SAFETY: as in Read.
        RamAccess.CopyIn((byte*)(_address + offset).Value, source);
        return true;
    }

    /// <summary>Unmaps. Nothing of the memory, nor of its file, is held afterwards.</summary>
    public void Dispose()
    {
        if (_isMapped)
        {
            _isMapped = false;
            _ = MemoryMap.Unmap(_address, Size);
        }
    }

    private bool IsInside(ulong offset, int length) => _isMapped && offset <= Size && (ulong)length <= Size - offset;
}
