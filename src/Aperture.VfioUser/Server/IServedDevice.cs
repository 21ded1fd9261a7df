using Aperture.Assignment;
using Aperture.Linux;

namespace Aperture.VfioUser.Server;

/// <summary>A region of a device that is served to a client.</summary>
/// <param name="Size">Bytes; 0 when the device has it not.</param>
/// <param name="Readable">Reads are allowed.</param>
/// <param name="Writable">Writes are allowed.</param>
public sealed record ServedRegion(ulong Size, bool Readable, bool Writable)
{
    /// <summary>A region that the device has not.</summary>
    public static ServedRegion None { get; } = new(0, false, false);

    /// <summary>What the client may map: whole pages, sorted, disjoint, inside the region. Empty: every access is a message.</summary>
    public IReadOnlyList<VfioArea> Areas { get; init; } = [];

    /// <summary>
    /// What the client maps them from; not null when there are areas. The client gets the whole of it and can map any part, whatever the areas say. Stays the
    /// device's.
    /// </summary>
    public SafeFileDescriptor? File { get; init; }

    /// <summary>Where the region's first byte is in the file.</summary>
    public ulong FileOffset { get; init; }
}

/// <summary>
/// A PCI function that is served to whoever connects, in VFIO's terms (vfio-user protocol, "VFIO Device Model"). Its state outlives a client. Methods are
/// called on the session's thread, one at a time; an exception ends the session.
/// </summary>
public interface IServedDevice
{
    /// <summary>The regions by index (<see cref="VfioRegionIndex"/>); a PCI function has 9, those of size 0 included.</summary>
    IReadOnlyList<ServedRegion> Regions { get; }

    /// <summary>The kinds of interrupts by index (<see cref="VfioIrqIndex"/>); a PCI function has 5, those without a vector included.</summary>
    IReadOnlyList<VfioIrq> Irqs { get; }

    /// <summary>True when <see cref="Reset"/> does something.</summary>
    bool CanReset { get; }

    /// <summary>A client came, and what the device may ask of it until <see cref="Disconnected"/>.</summary>
    void Connected(IDeviceClient client);

    /// <summary>The client is gone, with its memory and its eventfds.</summary>
    void Disconnected();

    /// <summary>Reads from a region, inside it; 0, or an errno that the client is told.</summary>
    int Read(int region, ulong offset, Span<byte> destination);

    /// <summary>Writes to a region, inside it; 0, or an errno that the client is told.</summary>
    int Write(int region, ulong offset, ReadOnlySpan<byte> source);

    /// <summary>Resets the device; 0, or an errno that the client is told.</summary>
    int Reset();

    /// <summary>
    /// The client gave a run of its memory. <paramref name="file"/> is where it can be mapped from, or null when it is reached by messages only; it is open
    /// during the call. <paramref name="host"/> is where it is in this process until <see cref="MemoryRemoved"/> returned: for DMA mappings only, since the
    /// client may cut the file; null with the file.
    /// </summary>
    void MemoryAdded(AddressRange range, SafeFileDescriptor? file, ulong fileOffset, bool writable, HostAddress? host)
    {
    }

    /// <summary>The client takes a run of its memory back, as it gave it: when this returns, nothing of the device may use it.</summary>
    void MemoryRemoved(AddressRange range)
    {
    }
}

/// <summary>What a device may ask of the client that it serves. Thread-safe. After the client's end nothing of it has an effect.</summary>
public interface IDeviceClient
{
    /// <summary>
    /// The memory that the client gave, by the addresses that the guest uses. What it did not give, or not for that, is refused. Memory that came without a
    /// file takes a message, which a client may answer only once its own command is answered (QEMU does so without a twin socket): use such memory on a thread
    /// of the device, not within an access.
    /// </summary>
    IDma Memory { get; }

    /// <summary>True when the client maps what <see cref="IFaultingDevice.Fault"/> grants, so that it has to be told of revocations.</summary>
    bool MapsGrants { get; }

    /// <summary>
    /// Takes pages of a faulting area back: when it returns, the client reaches them no more, and puts no answer with a smaller generation there. A client that
    /// does not acknowledge that in time is cut off, which is the answer false. Waits for that client; not under a lock that a fault of another needs.
    /// </summary>
    bool Revoke(int region, ulong offset, ulong size, ulong generation);

    /// <summary>True when the client has tied a vector of this kind of interrupt.</summary>
    bool IsEnabled(int index);

    /// <summary>Raises an interrupt of a kind that has edges (MSI, MSI-X, error, request); false when the client has not enabled the vector.</summary>
    bool Signal(int index, int vector);

    /// <summary>
    /// Asserts or deasserts INTx. The client hears of it once; when it unmasks INTx while it is still asserted, once more (VFIO_IRQ_INFO_AUTOMASKED).
    /// </summary>
    void SetIntx(bool asserted);
}
