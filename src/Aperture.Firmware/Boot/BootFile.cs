using Microsoft.Win32.SafeHandles;

namespace Aperture.Firmware.Boot;

/// <summary>A file that is loaded into the guest, open for reading. Nothing is read before it is asked for.</summary>
public sealed class BootFile : IDisposable
{
    private readonly SafeFileHandle _handle;
    private readonly string _role;

    private BootFile(string path, string role, SafeFileHandle handle, ulong length)
    {
        Path = path;
        _role = role;
        _handle = handle;
        Length = length;
    }

    /// <summary>The path as it was given.</summary>
    public string Path { get; }

    /// <summary>The length in bytes when it was opened; never 0.</summary>
    public ulong Length { get; }

    /// <summary>Opens <paramref name="path"/>; <paramref name="role"/> (<c>kernel</c>, <c>initramfs</c>) begins the sentence of an error.</summary>
    /// <exception cref="ApertureException">It is missing, a directory, unreadable, empty or not a regular file.</exception>
    public static BootFile Open(string path, string role)
    {
        if (Directory.Exists(path))
        {
            throw new ApertureException($"{role} {path} is a directory, not a file");
        }

        SafeFileHandle? handle = null;
        try
        {
            handle = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            long length = RandomAccess.GetLength(handle);
            if (length == 0)
            {
                throw new ApertureException($"{role} {path} is empty");
            }

            var file = new BootFile(path, role, handle, (ulong)length);
            handle = null;
            return file;
        }
        catch (Exception fault) when (Sentence(fault, path) is { } why)
        {
            throw new ApertureException($"{role} {why}", innerException: fault);
        }
        finally
        {
            handle?.Dispose();
        }
    }

    /// <summary>Fills <paramref name="destination"/> from <paramref name="offset"/> on.</summary>
    /// <exception cref="ApertureException">The file ends before that, or cannot be read.</exception>
    public void Read(ulong offset, Span<byte> destination)
    {
        if (offset > Length || (ulong)destination.Length > Length - offset)
        {
            throw new ApertureException($"{_role} {Path} ends at byte {Length}, but {destination.Length} bytes at {offset} are needed");
        }

        try
        {
            while (!destination.IsEmpty)
            {
                int count = RandomAccess.Read(_handle, destination, (long)offset);
                if (count == 0)
                {
                    throw new ApertureException($"{_role} {Path} became shorter while it was read");
                }

                destination = destination[count..];
                offset += (ulong)count;
            }
        }
        catch (IOException fault)
        {
            throw new ApertureException($"{_role} {Path} cannot be read: {fault.Message}", innerException: fault);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _handle.Dispose();

    private static string? Sentence(Exception fault, string path) => fault switch
    {
        FileNotFoundException or DirectoryNotFoundException => $"{path} does not exist",
        UnauthorizedAccessException => $"{path} may not be read by this user",
        NotSupportedException => $"{path} is a pipe or device; copy it into a regular file first",
        IOException => $"{path} cannot be opened: {fault.Message}",
        ArgumentException => $"'{path}' is not a file name",
        _ => null,
    };
}
