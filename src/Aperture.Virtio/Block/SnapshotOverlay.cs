using System.Collections;
using Microsoft.Win32.SafeHandles;

namespace Aperture.Virtio.Block;

/// <summary>
/// A disk whose writes go to a temporary sparse file over an image that stays as it is. The file has no name from the moment it was made, so that
/// however the process ends nothing remains of it.
/// </summary>
public sealed class SnapshotOverlay : IBlockStorage
{
    /// <summary>Bytes that are copied up together.</summary>
    public const int ClusterSize = 64 << 10;

    // What the bit map below can count.
    private const ulong LargestImage = (ulong)int.MaxValue * ClusterSize;

    private readonly IBlockStorage _image;
    private readonly SafeFileHandle _file;
    private readonly Action<string>? _faults;

    // A bit for each cluster that lives in the overlay: 2 MiB for a disk of 1 TiB.
    private readonly BitArray _written;
    private readonly byte[] _cluster = new byte[ClusterSize];
    private bool _told;

    private SnapshotOverlay(IBlockStorage image, SafeFileHandle file, Action<string>? faults)
    {
        (_image, _file, _faults) = (image, file, faults);
        _written = new BitArray((int)((image.Size + ClusterSize - 1) / ClusterSize));
    }

    /// <inheritdoc/>
    public ulong Size => _image.Size;

    /// <inheritdoc/>
    public bool IsReadOnly => false;

    /// <summary>Makes an overlay over <paramref name="image"/>, which it owns from then on.</summary>
    /// <param name="image">Read, never written.</param>
    /// <param name="folder">Where the temporary file goes; null for the system's place (TMPDIR).</param>
    /// <param name="faults">Told one sentence when the host fails an access: once until one succeeds again.</param>
    /// <exception cref="ApertureException">The temporary file cannot be made, or the image is larger than 128 TiB.</exception>
    public static SnapshotOverlay Create(IBlockStorage image, string? folder = null, Action<string>? faults = null)
    {
        ArgumentNullException.ThrowIfNull(image);
        if (image.Size > LargestImage)
        {
            throw new ApertureException($"a disk of {ByteSize.Format(image.Size)} cannot have a snapshot; the largest is {ByteSize.Format(LargestImage)}");
        }

        string path = Path.Combine(folder ?? Path.GetTempPath(), $"aperture-{Guid.NewGuid():n}.snapshot");
        try
        {
            SafeFileHandle file =
                File.OpenHandle(path, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete, FileOptions.RandomAccess);
            File.Delete(path);
            return new SnapshotOverlay(image, file, faults);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ApertureException($"the snapshot's temporary file {path} cannot be made: {e.Message}", ApertureException.HostFailure, e);
        }
    }

    /// <inheritdoc/>
    public bool Read(ulong offset, Span<byte> destination)
    {
        while (!destination.IsEmpty)
        {
            int cluster = (int)(offset / ClusterSize);
            int length = Math.Min(destination.Length, ClusterSize - (int)(offset % ClusterSize));
            Span<byte> part = destination[..length];
            if (!(_written[cluster] ? ReadOverlay(offset, part) : _image.Read(offset, part)))
            {
                return false;
            }

            destination = destination[length..];
            offset += (ulong)length;
        }

        return true;
    }

    /// <inheritdoc/>
    public bool Write(ulong offset, ReadOnlySpan<byte> source)
    {
        while (!source.IsEmpty)
        {
            int cluster = (int)(offset / ClusterSize);
            int start = (int)(offset % ClusterSize);
            int length = Math.Min(source.Length, ClusterSize - start);
            if (!WriteCluster(cluster, start, source[..length]))
            {
                return false;
            }

            source = source[length..];
            offset += (ulong)length;
        }

        return true;
    }

    /// <summary>Nothing: the writes are gone after the run anyway.</summary>
    public bool Flush() => true;

    /// <inheritdoc/>
    public void Dispose()
    {
        _file.Dispose();
        _image.Dispose();
    }

    private bool WriteCluster(int cluster, int start, ReadOnlySpan<byte> source)
    {
        ulong first = (ulong)cluster * ClusterSize;
        if (_written[cluster])
        {
            return WriteOverlay(first + (ulong)start, source);
        }

        // The first write to a cluster takes the rest of it along; its bit is set only when all of it is there.
        Span<byte> whole = _cluster.AsSpan(0, (int)Math.Min(ClusterSize, Size - first));
        if (source.Length < whole.Length && !_image.Read(first, whole))
        {
            return false;
        }

        source.CopyTo(whole[start..]);
        _written[cluster] = WriteOverlay(first, whole);
        return _written[cluster];
    }

    private bool ReadOverlay(ulong offset, Span<byte> destination)
    {
        try
        {
            while (!destination.IsEmpty)
            {
                int read = RandomAccess.Read(_file, destination, (long)offset);
                if (read == 0)
                {
                    return Tell("the temporary file became shorter");
                }

                destination = destination[read..];
                offset += (ulong)read;
            }

            return true;
        }
        catch (Exception e) when (RawImage.IsHostFault(e))
        {
            return Tell($"reading failed: {e.Message}");
        }
    }

    private bool WriteOverlay(ulong offset, ReadOnlySpan<byte> source)
    {
        try
        {
            RandomAccess.Write(_file, source, (long)offset);
            _told = false;
            return true;
        }
        catch (Exception e) when (RawImage.IsHostFault(e))
        {
            return Tell($"writing failed: {e.Message}");
        }
    }

    private bool Tell(string what)
    {
        if (!_told)
        {
            _told = true;
            _faults?.Invoke($"disk snapshot: {what}");
        }

        return false;
    }
}
