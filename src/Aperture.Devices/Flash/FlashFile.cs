using Aperture.Memory;
using Microsoft.Win32.SafeHandles;

namespace Aperture.Devices.Flash;

/// <summary>
/// The file that keeps a flash bank's content (OVMF's variables). Changes are written through as they happen, so they outlive a crash of the
/// monitor; <see cref="Flush"/> makes them outlive the host. When the host's disk is full or fails, that is reported once and the machine goes on
/// with the content in memory; the next flush tries to write all of it.
/// </summary>
public sealed class FlashFile : IFlashStore, IDisposable
{
    private const int PieceSize = 64 << 10;

    private readonly Lock _gate = new();
    private readonly SafeFileHandle _handle;
    private readonly Action<string>? _report;
    private readonly WriteAt _write;
    private RamBlock? _content;
    private bool _behind;
    private bool _reported;
    private bool _closed;

    private FlashFile(string path, SafeFileHandle handle, ulong length, Action<string>? report, WriteAt? write)
    {
        Path = path;
        Length = length;
        _handle = handle;
        _report = report;
        _write = write ?? RandomAccess.Write;
    }

    /// <summary>How bytes reach the file; tests put a full disk in its place.</summary>
    public delegate void WriteAt(SafeFileHandle handle, ReadOnlySpan<byte> bytes, long offset);

    /// <summary>The path as it was given.</summary>
    public string Path { get; }

    /// <summary>Bytes of the file when it was opened.</summary>
    public ulong Length { get; }

    /// <summary>True while changes are only in memory, because the host did not take them.</summary>
    public bool IsBehind
    {
        get
        {
            lock (_gate)
            {
                return _behind;
            }
        }
    }

    /// <summary>
    /// Opens the machine's own copy of its variables, for itself alone. If <paramref name="path"/> does not exist it is first made as a copy of
    /// <paramref name="template"/>, which is only read.
    /// </summary>
    /// <param name="path">The copy.</param>
    /// <param name="template">What a new copy starts as, or null to refuse a missing one.</param>
    /// <param name="report">Takes one sentence when the host refuses a change.</param>
    /// <param name="write">How bytes reach the file; null for the system's way.</param>
    /// <exception cref="ApertureException">The file is missing, empty, not writable or used by another machine; or the template is missing.</exception>
    public static FlashFile Open(string path, string? template = null, Action<string>? report = null, WriteAt? write = null)
    {
        SafeFileHandle? handle = null;
        try
        {
            if (template is not null && !UserFile.Exists(path))
            {
                MakeFrom(template, path);
            }

            // No sharing: an advisory lock that keeps a second machine away from the same variables.
            handle = File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite, FileShare.None);
            long length = RandomAccess.GetLength(handle);
            if (length == 0)
            {
                throw new ApertureException($"flash variables {path} are empty; copy the firmware's template there first");
            }

            var file = new FlashFile(path, handle, (ulong)length, report, write);
            handle = null;
            return file;
        }
        catch (Exception fault) when (fault is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            throw new ApertureException($"flash variables {path} cannot be opened: {fault.Message}", innerException: fault);
        }
        finally
        {
            handle?.Dispose();
        }
    }

    /// <summary>Reads the file into <paramref name="content"/> and keeps the block for a later flush; the file must have its size.</summary>
    /// <exception cref="ApertureException">The sizes differ or the file cannot be read.</exception>
    public void Load(RamBlock content)
    {
        ArgumentNullException.ThrowIfNull(content);
        if (content.Size != Length)
        {
            throw new ApertureException($"flash variables {Path} have {ByteSize.Format(Length)}, but the bank has {ByteSize.Format(content.Size)}");
        }

        try
        {
            byte[] piece = new byte[PieceSize];
            for (ulong at = 0; at < Length;)
            {
                int count = RandomAccess.Read(_handle, piece.AsSpan(0, (int)Math.Min(PieceSize, Length - at)), (long)at);
                if (count == 0)
                {
                    throw new ApertureException($"flash variables {Path} became shorter while they were read");
                }

                content.Write(at, piece.AsSpan(0, count));
                at += (ulong)count;
            }
        }
        catch (IOException fault)
        {
            throw new ApertureException($"flash variables {Path} cannot be read: {fault.Message}", innerException: fault);
        }

        lock (_gate)
        {
            _content = content;
        }
    }

    /// <inheritdoc/>
    public void Changed(ulong offset, ReadOnlySpan<byte> bytes)
    {
        lock (_gate)
        {
            // Once behind, the file is only brought up to date as a whole: a later change must not be there without an earlier one.
            if (_behind || _closed)
            {
                return;
            }

            try
            {
                _write(_handle, bytes, (long)offset);
            }
            catch (Exception fault) when (fault is IOException or UnauthorizedAccessException)
            {
                FallBehind(fault);
            }
        }
    }

    /// <summary>
    /// Brings the file up to date and onto the disk. Call it when the machine stops, with no vCPU in the guest. False: it is not, and the reason was
    /// reported; what the guest stored since then is lost with the process.
    /// </summary>
    public bool Flush()
    {
        lock (_gate)
        {
            if (_closed)
            {
                return !_behind;
            }

            try
            {
                if (_behind)
                {
                    WriteAll();
                }

                RandomAccess.FlushToDisk(_handle);
                _behind = false;
                _reported = false;
                return true;
            }
            catch (Exception fault) when (fault is IOException or UnauthorizedAccessException)
            {
                FallBehind(fault);
                return false;
            }
        }
    }

    /// <summary>Flushes and closes the file. The block given to <see cref="Load"/> must still be there.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            _ = Flush();
            _closed = true;
            _handle.Dispose();
        }
    }

    // Where a link is that leads nowhere yet, the file is made where it leads.
    private static void MakeFrom(string template, string path)
    {
        string target = UserFile.Behind(path);
        if (target != path && !Directory.Exists(System.IO.Path.GetDirectoryName(target)))
        {
            throw new ApertureException($"flash variables {path} cannot be made: it is a link to {target}, whose folder does not exist");
        }

        CopyTemplate(template, target);
    }

    // Under a name of its own first, so that a copy that broke off is never taken for the variables; one that nobody can have prepared a link at.
    private static void CopyTemplate(string template, string path)
    {
        string part = $"{path}.{System.IO.Path.GetRandomFileName()}.part";
        try
        {
            File.Copy(template, part, overwrite: false);

            // The template's read-only mode comes along.
            if (!OperatingSystem.IsWindows())
            {
                File.SetUnixFileMode(part, UnixFileMode.UserRead | UnixFileMode.UserWrite);
            }

            File.Move(part, path);
        }
        catch
        {
            File.Delete(part);
            throw;
        }
    }

    private void WriteAll()
    {
        byte[] piece = new byte[PieceSize];
        for (ulong at = 0; _content is { } content && at < Length;)
        {
            Span<byte> bytes = piece.AsSpan(0, (int)Math.Min(PieceSize, Length - at));
            content.Read(at, bytes);
            _write(_handle, bytes, (long)at);
            at += (ulong)bytes.Length;
        }
    }

    private void FallBehind(Exception fault)
    {
        _behind = true;
        if (!_reported)
        {
            _reported = true;
            _report?.Invoke($"flash variables {Path} cannot be written: {fault.Message}; the machine goes on with its variables in memory only");
        }
    }
}
