using System.Formats.Tar;

namespace Aperture.Host.Reading;

/// <summary>Reads a tar archive of a sysfs tree into memory: only the files that matter, with bounds on everything.</summary>
internal static class ArchiveReader
{
    /// <summary>Reads an uncompressed tar.</summary>
    /// <exception cref="ApertureException">It is damaged, hostile or too large.</exception>
    internal static ArchiveTree Read(Stream tar, string name)
    {
        ArchiveTree tree = new(name);
        int entries = 0;
        string last = "its start";
        using TarGuardStream guard = new(tar, name);
        try
        {
            using TarReader reader = new(guard, leaveOpen: true);
            while (reader.GetNextEntry() is { } entry)
            {
                if (++entries > HostLimits.ArchiveEntries)
                {
                    throw new ApertureException($"{name}: holds more than {HostLimits.ArchiveEntries} entries");
                }

                Add(tree, entry, name);
                last = $"entry {entries}, {SysfsText.Quote(entry.Name)}";
            }
        }
        catch (Exception error) when (IsDamage(error))
        {
            throw new ApertureException($"{name}: is damaged or not a tar archive, after {last}: {Reason(error)}", ApertureException.ConfigurationError, error);
        }

        return guard.SawEnd
            ? tree
            : throw new ApertureException($"{name}: is cut off after {last}: the archive's end mark is missing");
    }

    /// <summary>True for what the unpackers and the tar reader throw when their input is damaged.</summary>
    internal static bool IsDamage(Exception error) => error is IOException or InvalidDataException or FormatException or InvalidOperationException
        or ArgumentException or NotSupportedException or OverflowException or IndexOutOfRangeException or NullReferenceException
        or ICSharpCode.SharpZipLib.SharpZipBaseException;

    /// <summary>What was wrong, in words: an unpacker that trips over damage of its own making says nothing of use.</summary>
    internal static string Reason(Exception error) => error is IndexOutOfRangeException or NullReferenceException or ArgumentException or OverflowException
        ? "the compressed data makes no sense"
        : error.Message.ReplaceLineEndings(" ");

    private static void Add(ArchiveTree tree, TarEntry entry, string archive)
    {
        switch (entry.EntryType)
        {
            case TarEntryType.Directory:
                tree.AddDirectory(Names(entry.Name, archive));
                break;
            case TarEntryType.SymbolicLink:
                tree.AddLink(Names(entry.Name, archive), entry.LinkName);
                break;
            case TarEntryType.HardLink:
                // A second name for an entry above: the same thing as a link from the archive's top.
                tree.AddLink(Names(entry.Name, archive), "/" + string.Join('/', Names(entry.LinkName, archive)));
                break;
            case TarEntryType.RegularFile or TarEntryType.V7RegularFile or TarEntryType.ContiguousFile:
                AddFile(tree, entry, Names(entry.Name, archive), archive);
                break;
            default:
                // Devices, pipes, sparse files and archive-wide headers are no part of sysfs.
                break;
        }
    }

    private static void AddFile(ArchiveTree tree, TarEntry entry, string[] names, string archive)
    {
        if (names.Length == 0 || !CaptureFiles.Matters(names[^1]))
        {
            return;
        }

        int limit = CaptureFiles.Limit(names[^1]);
        if (entry.Length > limit)
        {
            // Other parts of sysfs and /proc have files of these names too; only those of PCI functions and groups are held to their bounds.
            if (Array.IndexOf(names, "devices") >= 0 || Array.IndexOf(names, "iommu_groups") >= 0)
            {
                throw new ApertureException(
                    $"{archive}: {SysfsText.Quote(entry.Name)} has {entry.Length} bytes, where such a file has {limit} at most");
            }

            return;
        }

        byte[] content = [];
        if (entry.DataStream is { } data)
        {
            content = Bounded.Read(data, limit) ?? throw new ApertureException($"{archive}: {SysfsText.Quote(entry.Name)} is longer than its header says");
        }

        tree.AddFile(names, content);
    }

    /// <summary>A path's names. An absolute path starts at the archive's top, as every unpacker has it.</summary>
    /// <exception cref="ApertureException">It climbs out of the archive, or is longer than any path.</exception>
    private static string[] Names(string path, string archive)
    {
        const int LongestPath = 4096;
        if (path.Length > LongestPath)
        {
            throw new ApertureException($"{archive}: {SysfsText.Quote(path)}: a name of {path.Length} characters is no path");
        }

        string[] names = [.. path.Split('/', StringSplitOptions.RemoveEmptyEntries).Where(static part => part != ".")];
        return Array.IndexOf(names, "..") < 0
            ? names
            : throw new ApertureException($"{archive}: {SysfsText.Quote(path)} climbs out of the archive with '..'; nothing was read");
    }
}
