using System.Formats.Tar;
using System.IO.Compression;
using Aperture.Host.Reading;
using Microsoft.Win32.SafeHandles;

namespace Aperture.Host.Capture;

/// <summary>What a capture holds.</summary>
/// <param name="Functions">PCI functions captured.</param>
/// <param name="FullConfigs">Of those, the ones with more of configuration space than its header (root alone may read that).</param>
/// <param name="IommuGroups">IOMMU groups captured.</param>
public sealed record HostCaptureSummary(int Functions, int FullConfigs, int IommuGroups);

/// <summary>Saves what a machine has into an archive that <see cref="HostReader"/> reads back, laid out as sysfs and as hwloc's captures are.</summary>
public static class HostCapture
{
    /// <summary>
    /// Writes a gzip-compressed tar of what matters of sysfs, procfs and modprobe's rules below <paramref name="root"/> (<c>/</c> for this machine) to
    /// <paramref name="path"/>. An ordinary file is replaced as a whole; a symbolic link stays and what it leads to is written, as is a device or a pipe.
    /// </summary>
    /// <exception cref="ApertureException">The tree cannot be read or the file not written; a file that was at <paramref name="path"/> stays then, and no other
    /// is left.</exception>
    public static HostCaptureSummary Save(string root, string path)
    {
        try
        {
            string target = UserFile.Behind(path);
            using SafeFileHandle? there = Path.Exists(target) ? File.OpenHandle(target, FileMode.Open, FileAccess.Write, FileShare.ReadWrite) : null;
            if (there is null || IsOrdinary(there))
            {
                return Replace(root, target);
            }

            using FileStream device = new(there, FileAccess.Write, bufferSize: 0);
            return Write(root, device);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or NotSupportedException or ArgumentException)
        {
            throw new ApertureException($"{path}: cannot be written: {error.Message}", ApertureException.ConfigurationError, error);
        }
    }

    /// <summary>Writes the same archive to <paramref name="output"/>, which stays open. One tree gives the same bytes each time.</summary>
    /// <exception cref="ApertureException">The tree cannot be read.</exception>
    public static HostCaptureSummary Write(string root, Stream output)
    {
        using GZipStream packed = new(output, CompressionLevel.Optimal, leaveOpen: true);
        using TarWriter tar = new(packed, TarEntryFormat.Gnu, leaveOpen: true);
        return new TreeCopy(new DirectoryTree(root), tar).Copy();
    }

    // Of what a user can name here, only an ordinary file has a length that can be set (ftruncate(2)). The runtime tells no more of a file's kind.
    private static bool IsOrdinary(SafeFileHandle handle)
    {
        try
        {
            RandomAccess.SetLength(handle, RandomAccess.GetLength(handle));
            return true;
        }
        catch (Exception error) when (error is IOException or NotSupportedException or ArgumentException)
        {
            return false;
        }
    }

    // Under a name that nobody can have prepared a link at, first.
    private static HostCaptureSummary Replace(string root, string path)
    {
        string partial = $"{path}.{Path.GetRandomFileName()}.partial";
        try
        {
            HostCaptureSummary summary;
            using (FileStream file = new(partial, FileMode.CreateNew, FileAccess.Write))
            {
                summary = Write(root, file);
            }

            File.Move(partial, path, overwrite: true);
            return summary;
        }
        catch
        {
            Remove(partial);
            throw;
        }
    }

    private static void Remove(string path)
    {
        try
        {
            File.Delete(path);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            // What could not be written cannot be removed either; the sentence about writing is the one that helps.
        }
    }
}
