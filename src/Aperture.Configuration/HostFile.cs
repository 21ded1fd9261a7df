namespace Aperture.Configuration;

/// <summary>What a run does with a file of the host.</summary>
public enum HostAccess : byte
{
    /// <summary>It is read.</summary>
    Read,

    /// <summary>It is written, and maybe read too; it need not be there before.</summary>
    Write,
}

/// <summary>A file of the host that a configuration names.</summary>
/// <param name="Path">As the user wrote it.</param>
/// <param name="Access">What is done with it.</param>
public readonly record struct HostFile(string Path, HostAccess Access);
