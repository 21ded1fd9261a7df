namespace Aperture.Host.Reading;

/// <summary>How much of a source is read before it is refused. Far above any real machine, far below what would hurt this one.</summary>
internal static class HostLimits
{
    /// <summary>Functions of a machine.</summary>
    internal const int Functions = 65536;

    /// <summary>Bytes of configuration space of one function (PCI Express 5.0, section 7.2.1).</summary>
    internal const int Config = 4096;

    /// <summary>Bytes of a sysfs attribute: the kernel never writes more than a page, lists of regions included; twice that for large pages.</summary>
    internal const int Attribute = 128 << 10;

    /// <summary>Bytes of a file of procfs: a machine of a thousand processors has 2 MiB of them in cpuinfo.</summary>
    internal const int ProcessFile = 8 << 20;

    /// <summary>Entries of a directory.</summary>
    internal const int DirectoryEntries = 4 * Functions;

    /// <summary>Symbolic links followed for one path, as the kernel allows.</summary>
    internal const int Links = 40;

    /// <summary>Directories looked into when the captured tree's top is searched.</summary>
    internal const int SearchedDirectories = 4096;

    /// <summary>How deep device directories nest: a bus number is a byte, and a path holds a few more names.</summary>
    internal const int TreeDepth = 300;

    /// <summary>Bytes of a dump or of a compressed archive.</summary>
    internal const long File = 128L << 20;

    /// <summary>Bytes that an archive may unpack to.</summary>
    internal const long Unpacked = 512L << 20;

    /// <summary>Bytes of an archive's files that are kept.</summary>
    internal const long Kept = 256L << 20;

    /// <summary>Entries of an archive.</summary>
    internal const int ArchiveEntries = 2_000_000;

    /// <summary>Bytes of an archive's long name or extended header.</summary>
    internal const long ArchiveHeader = 64 << 10;

    /// <summary>Characters of a line of a dump.</summary>
    internal const int Line = 64 << 10;
}
