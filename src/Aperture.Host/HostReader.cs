namespace Aperture.Host;

/// <summary>Reads what a machine has, from whatever describes it.</summary>
public static class HostReader
{
    /// <summary>
    /// Reads a machine: <c>/</c> is this one; another directory is a captured tree (it holds <c>sys</c>, or one folder that does); a file is a tar
    /// archive of such a tree (plain, gzip or bzip2) or the text of <c>lspci</c> with a hex dump (<c>-x</c> to <c>-xxxx</c>, with or without <c>-v</c>).
    /// </summary>
    /// <exception cref="ApertureException">The source is missing, damaged or too large; one sentence with file and place. Nothing is returned in part.</exception>
    public static HostMachine Read(string path) => throw new NotImplementedException();

    /// <summary>Reads the machine this process runs on.</summary>
    /// <exception cref="ApertureException">sysfs is not there or not readable.</exception>
    public static HostMachine ReadLive() => Read("/");

    /// <summary>Reads the text of <c>lspci</c>; <paramref name="name"/> is its name in messages.</summary>
    /// <exception cref="ApertureException">See <see cref="Read"/>.</exception>
    public static HostMachine ReadLspci(string text, string name) => throw new NotImplementedException();

    /// <summary>Reads a tar archive from <paramref name="stream"/>; <paramref name="name"/> is its name in messages.</summary>
    /// <exception cref="ApertureException">See <see cref="Read"/>.</exception>
    public static HostMachine ReadArchive(Stream stream, string name) => throw new NotImplementedException();
}
