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

    /// <summary>
    /// A server that is gone is looked for again by <see cref="VfioUserDevice.Reset"/>, at the same socket; meanwhile the device is away
    /// (<see cref="Assignment.IVfioDevice.IsAway"/>).
    /// </summary>
    public bool Reconnects { get; init; }

    /// <summary>Who has what the server grants page by page (docs/vfio-user.md); null: the device itself, or nobody.</summary>
    public IGrantHolder? Grants { get; init; }

    /// <summary>
    /// What the server grants page by page is mapped by the device at the guest's first touch: the areas are among those that <see cref="VfioUserDevice.Map"/>
    /// gives. Without it, or where this process may not handle page faults, the guest reaches such pages by messages.
    /// </summary>
    public bool MapGrants { get; init; }
}

/// <summary>
/// Holds pages that a server granted. Called under one lock, which is also held while a grant is put in place: on any thread, and no fault is asked within.
/// </summary>
public interface IGrantHolder
{
    /// <summary>
    /// Pages of a region are taken back: when this returns, nothing reaches what was granted of them any more. They may never have been granted. So they are
    /// before a reset and once the connection has ended.
    /// </summary>
    void Revoked(int region, ulong offset, ulong size);
}

/// <summary>Pages that a server grants.</summary>
/// <param name="Region">The region.</param>
/// <param name="Offset">Of the first page in it.</param>
/// <param name="Size">Bytes.</param>
/// <param name="File">What they are mapped from; open until the device is disposed.</param>
/// <param name="FileOffset">Of the first page in the file.</param>
/// <param name="IsWritable">They may be written.</param>
/// <param name="Source">The number by which the server calls the file.</param>
public sealed record GrantedPages(int Region, ulong Offset, ulong Size, SafeFileDescriptor File, ulong FileOffset, bool IsWritable, ulong Source);

/// <summary>What came of a touch of a page.</summary>
public enum TouchOutcome
{
    /// <summary>The page is in place.</summary>
    Granted,

    /// <summary>The access is to be made by a message.</summary>
    Trap,

    /// <summary>It reads all-ones and loses what it writes; also when the server is dead or answers nonsense.</summary>
    Refused,
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
