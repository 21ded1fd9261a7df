namespace Aperture.Virtio.Block;

/// <summary>
/// The bytes of a disk. One thread at a time; nothing throws: false means that the bytes were not all read or written, of which the
/// storage has told its owner.
/// </summary>
public interface IBlockStorage : IDisposable
{
    /// <summary>Bytes, a multiple of 512.</summary>
    ulong Size { get; }

    /// <summary>True when writes are refused.</summary>
    bool IsReadOnly { get; }

    /// <summary>Reads from <paramref name="offset"/>; the range lies inside.</summary>
    bool Read(ulong offset, Span<byte> destination);

    /// <summary>Writes at <paramref name="offset"/>; the range lies inside.</summary>
    bool Write(ulong offset, ReadOnlySpan<byte> source);

    /// <summary>Makes what was written survive a crash of the host.</summary>
    bool Flush();
}
