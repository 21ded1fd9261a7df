using Aperture.Host.Building;
using Aperture.Host.Model;
using Aperture.Host.Reading;

namespace Aperture.Host;

/// <summary>Reads what a machine has, from whatever describes it.</summary>
public static class HostReader
{
    /// <summary>
    /// Reads a machine: <c>/</c> is this one; another directory is a captured tree (it holds <c>sys</c>, or one folder that does); a file is a tar
    /// archive of such a tree (plain, gzip or bzip2) or the text of <c>lspci</c>: a hex dump (<c>-x</c> to <c>-xxxx</c>), the lines of <c>-v</c> or
    /// <c>-vv</c>,
    /// or both.
    /// </summary>
    /// <exception cref="ApertureException">The source is missing, damaged or too large; one sentence with file and place. Nothing is returned in
    /// part.</exception>
    public static HostMachine Read(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        if (Directory.Exists(path))
        {
            bool live = Path.GetFullPath(path) is "/" or "/sys" or "/sys/";
            HostOrigin origin = new(live ? HostOriginKind.LiveSysfs : HostOriginKind.CapturedTree, path);
            DirectoryTree tree = new(live ? "/" : path);
            return HostBuilder.Build(SysfsReader.Read(live ? tree : new CopiedLinks(tree), origin));
        }

        return ReadContent(ReadFile(path), path);
    }

    /// <summary>Reads the machine this process runs on.</summary>
    /// <exception cref="ApertureException">sysfs is not there or not readable.</exception>
    public static HostMachine ReadLive() => Read("/");

    /// <summary>Reads the text of <c>lspci</c>; <paramref name="name"/> is its name in messages.</summary>
    /// <exception cref="ApertureException">See <see cref="Read"/>.</exception>
    public static HostMachine ReadLspci(string text, string name) => HostBuilder.Build(LspciParser.Read(text, name));

    /// <summary>
    /// Reads an archive or a dump from <paramref name="stream"/>, whichever its first bytes say; <paramref name="name"/> is its name in messages.
    /// </summary>
    /// <exception cref="ApertureException">See <see cref="Read"/>.</exception>
    public static HostMachine ReadStream(Stream stream, string name)
    {
        try
        {
            return ReadContent(Bounded.Read(stream, HostLimits.File) ?? throw TooLarge(name), name);
        }
        catch (IOException error)
        {
            throw new ApertureException($"{name}: cannot be read: {error.Message}", ApertureException.ConfigurationError, error);
        }
    }

    private static HostMachine ReadContent(byte[] content, string name)
    {
        FileFormat format = Unpacker.Detect(content);
        using MemoryStream packed = new(content, writable: false);
        try
        {
            using Stream? unpacked = Unpacker.Open(format, packed, name);
            if (unpacked is null)
            {
                return format == FileFormat.Tar ? ReadTar(packed, name) : ReadLspci(LspciText.Decode(content), name);
            }

            // A compressed file may hold either, too.
            byte[] start = new byte[512];
            int count = unpacked.ReadAtLeast(start, start.Length, throwOnEndOfStream: false);
            using PrefixedStream whole = new(start.AsMemory(0, count), unpacked);
            return Unpacker.Detect(start.AsSpan(0, count)) == FileFormat.Tar
                ? ReadTar(whole, name)
                : ReadLspci(LspciText.Decode(Bounded.Read(whole, HostLimits.File) ?? throw TooLarge(name)), name);
        }
        catch (Exception error) when (ArchiveReader.IsDamage(error))
        {
            throw new ApertureException($"{name}: cannot be unpacked: {ArchiveReader.Reason(error)}", ApertureException.ConfigurationError, error);
        }
    }

    private static HostMachine ReadTar(Stream tar, string name) =>
        HostBuilder.Build(SysfsReader.Read(new CopiedLinks(ArchiveReader.Read(tar, name)), new HostOrigin(HostOriginKind.CapturedArchive, name)));

    private static byte[] ReadFile(string path)
    {
        try
        {
            using FileStream file = new(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite, bufferSize: 0);
            return Bounded.Read(file, HostLimits.File) ?? throw TooLarge(path);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or NotSupportedException)
        {
            throw new ApertureException($"{path}: cannot be read: {error.Message}", ApertureException.ConfigurationError, error);
        }
    }

    private static ApertureException TooLarge(string name) =>
        new($"{name}: is larger than the {ByteSize.Format((ulong)HostLimits.File)} that a description of a machine may have");
}
