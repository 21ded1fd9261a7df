using Aperture.Memory;

namespace Aperture.Mediation.Nvme;

/// <summary>Memory of the mediator's own that the drive reaches: queues, lists of pages, what it identifies itself with. No guest has it.</summary>
internal sealed class DriveMemory : IDisposable
{
    private readonly IovaSpace _space;
    private readonly Iova _start;

    /// <summary>Makes zeros and maps them.</summary>
    /// <exception cref="ApertureException">The host has not the memory, or does not map it.</exception>
    public DriveMemory(IovaSpace space, ulong size)
    {
        _space = space;
        Block = RamBlock.Create("nvme-queues", size);
        try
        {
            _start = space.Map(Block.HostAddress, size, writable: true, "the memory of the drive's queues");
        }
        catch
        {
            Block.Dispose();
            throw;
        }
    }

    /// <summary>The memory as this process sees it.</summary>
    public RamBlock Block { get; }

    /// <summary>Where the drive finds a byte of it.</summary>
    public Iova At(ulong offset) => _start + offset;

    /// <summary>The drive reaches it no more. Memory that the kernel does not take away from the drive stays this process's.</summary>
    public void Dispose()
    {
        _space.Unmap(_start);
        Block.Dispose();
    }
}
