namespace Aperture.Assignment;

/// <summary>The I/O address space of the assigned devices: what their DMA reaches. IOVA equals guest physical address.</summary>
public interface IIommuMap : IDisposable
{
    /// <summary>The addresses that can be mapped; sorted, disjoint. Empty when the kernel does not say.</summary>
    IReadOnlyList<AddressRange> Ranges { get; }

    /// <summary>The smallest page, in bytes.</summary>
    ulong PageSize { get; }

    /// <summary>
    /// Lets the devices reach host memory at <paramref name="range"/>; 0, or an errno: EINVAL outside <see cref="Ranges"/>, ENOMEM at the memlock limit,
    /// ENOSPC when there are too many mappings, EFAULT when the kernel cannot map that memory.
    /// </summary>
    int Map(AddressRange range, HostAddress host, bool writable);

    /// <summary>Takes back exactly what one <see cref="Map"/> made; 0, or an errno.</summary>
    int Unmap(AddressRange range);

    /// <summary>Why <see cref="Map"/> answered <paramref name="errno"/>, as the end of a sentence that says what to do.</summary>
    /// <param name="errno">What it answered.</param>
    /// <param name="range">What was to be mapped.</param>
    /// <param name="locked">Bytes of the guest's memory that have to stay in memory in all.</param>
    /// <param name="isDevice">The memory is another device's.</param>
    string WhyNot(int errno, AddressRange range, ulong locked, bool isDevice);
}
