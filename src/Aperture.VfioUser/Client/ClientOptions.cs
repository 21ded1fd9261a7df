using Aperture.Linux;
using Aperture.Memory;

namespace Aperture.VfioUser.Client;

/// <summary>How a client treats its server.</summary>
public sealed record ClientOptions
{
    /// <summary>How long the server may take to answer, in milliseconds.</summary>
    public int PatienceMilliseconds { get; init; } = 5000;

    /// <summary>How long a reset may take, in milliseconds ("Command Concurrency": perhaps long).</summary>
    public int ResetMilliseconds { get; init; } = 30_000;

    /// <summary>Writes to BARs do not wait for the device, unless a part of a region is mapped, which they could then overtake or be overtaken by.</summary>
    public bool PostWrites { get; init; } = true;

    /// <summary>Ask for a socket of its own for the server's commands.</summary>
    public bool TwinSocket { get; init; } = true;
}

/// <summary>Finds the file behind memory of this process, so that another process can map it too.</summary>
public interface ISharedMemory
{
    /// <summary>
    /// The file that holds all of <paramref name="size"/> bytes at <paramref name="host"/>, and where in it; null when they are in none. The file stays the
    /// memory's.
    /// </summary>
    SafeFileDescriptor? Find(HostAddress host, ulong size, out ulong offset);
}

/// <summary>Blocks of guest memory that are shared.</summary>
/// <param name="blocks">The blocks; those that are not shared are found in no file.</param>
public sealed class SharedBlocks(params IReadOnlyList<RamBlock> blocks) : ISharedMemory
{
    /// <inheritdoc/>
    public SafeFileDescriptor? Find(HostAddress host, ulong size, out ulong offset)
    {
        foreach (RamBlock block in blocks)
        {
            offset = host.Value - block.HostAddress.Value;
            if (block.File is { } file && offset < block.Size && size <= block.Size - offset)
            {
                return file;
            }
        }

        offset = 0;
        return null;
    }
}
