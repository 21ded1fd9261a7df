using Microsoft.Win32.SafeHandles;

namespace Aperture.Virtio.Block;

/// <summary>A disk in a file, byte for byte. While it is open for writing no other machine can open it.</summary>
public sealed class RawImage : IBlockStorage
{
    /// <summary>Bytes of a sector (VIRTIO 1.2, section 5.2): sizes are multiples of it.</summary>
    public const int SectorSize = 512;

    private readonly SafeFileHandle _file;
    private readonly string _path;
    private readonly Action<string>? _faults;
    private bool _told;

    private RawImage(SafeFileHandle file, string path, bool readOnly, Action<string>? faults)
    {
        (_file, _path, IsReadOnly, _faults) = (file, path, readOnly, faults);
        Size = (ulong)RandomAccess.GetLength(file);
    }

    /// <inheritdoc/>
    public ulong Size { get; }

    /// <inheritdoc/>
    public bool IsReadOnly { get; }

    /// <summary>Opens an existing image.</summary>
    /// <param name="path">The file.</param>
    /// <param name="readOnly">True to open it for reading only; several machines may.</param>
    /// <param name="faults">Told one sentence when the host fails a read, write or flush: once until one succeeds again. Worker thread.</param>
    /// <exception cref="ApertureException">The file cannot be opened, is in use, is empty, or is not whole sectors long.</exception>
    public static RawImage Open(string path, bool readOnly, Action<string>? faults = null)
    {
        SafeFileHandle file;
        try
        {
            file = File.OpenHandle(
                path,
                FileMode.Open,
                readOnly ? FileAccess.Read : FileAccess.ReadWrite,
                readOnly ? FileShare.Read : FileShare.None,
                FileOptions.RandomAccess);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or NotSupportedException or ArgumentException)
        {
            throw new ApertureException($"the disk image {path} cannot be opened{(readOnly ? "" : " for writing")}: {e.Message}", innerException: e);
        }

        RawImage image = new(file, path, readOnly, faults);
        if (image.Size == 0 || image.Size % SectorSize != 0)
        {
            image.Dispose();
            throw new ApertureException($"the disk image {path} has {image.Size} bytes; a disk has a multiple of {SectorSize}, and at least one sector");
        }

        return image;
    }

    /// <inheritdoc/>
    public bool Read(ulong offset, Span<byte> destination)
    {
        try
        {
            while (!destination.IsEmpty)
            {
                int read = RandomAccess.Read(_file, destination, (long)offset);
                if (read == 0)
                {
                    return Tell("the file became shorter");
                }

                destination = destination[read..];
                offset += (ulong)read;
            }

            _told = false;
            return true;
        }
        catch (Exception e) when (IsHostFault(e))
        {
            return Tell($"reading failed: {e.Message}");
        }
    }

    /// <inheritdoc/>
    public bool Write(ulong offset, ReadOnlySpan<byte> source)
    {
        if (IsReadOnly)
        {
            return false;
        }

        try
        {
            RandomAccess.Write(_file, source, (long)offset);
            _told = false;
            return true;
        }
        catch (Exception e) when (IsHostFault(e))
        {
            return Tell($"writing failed: {e.Message}");
        }
    }

    /// <inheritdoc/>
    public bool Flush()
    {
        try
        {
            if (!IsReadOnly)
            {
                RandomAccess.FlushToDisk(_file);
            }

            return true;
        }
        catch (Exception e) when (IsHostFault(e))
        {
            return Tell($"flushing failed: {e.Message}");
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();

    internal static bool IsHostFault(Exception e) => e is IOException or UnauthorizedAccessException or ObjectDisposedException;

    // The guest decides how often this happens, so only the first of a row is told.
    private bool Tell(string what)
    {
        if (!_told)
        {
            _told = true;
            _faults?.Invoke($"disk image {_path}: {what}");
        }

        return false;
    }
}
