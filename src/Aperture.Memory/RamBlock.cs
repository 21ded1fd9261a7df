using System.Runtime.CompilerServices;
using Aperture.Linux;
using Aperture.Memory.Faulting;

namespace Aperture.Memory;

/// <summary>
/// A piece of host memory that a guest can be given, this process's own. Ordinary pages are taken when they are first touched, 2 MiB at a time where the host
/// has them in one piece: a block of 64 GiB costs nothing until then, and what the kernel does page by page (faults, pinning for DMA) is done 512 times less
/// often.
/// <para>
/// Lifetime: the creator holds one reference and gives it up with <see cref="Dispose"/>; an <see cref="AddressSpace"/> in which a region of the
/// block was ever placed holds another until the space is disposed. The memory is unmapped when the last is gone, so a reader that got the
/// block from a view, however old the view, never touches unmapped memory. The pages go back to the host earlier: once the creator has let go and no
/// space has a region of the block in place. Such a reader then finds zeros.
/// </para>
/// <para>
/// A foreign block (<see cref="Foreign"/>) is memory of a device: the kernel may revoke it at any moment, and touching it then ends the process. It is for
/// memory slots and DMA mappings only; nothing here reads or writes it, and no space holds it.
/// </para>
/// </summary>
// SAFETY: the only pointer is the mapping's base; it is private, and At checks every offset against the size and the mapping's life.
public sealed unsafe class RamBlock : IDisposable
{
    private readonly byte* _base;
    private readonly ulong _mappedSize;

    // The bytes from the start that this process may touch: all of its own memory, none of a foreign block.
    private readonly ulong _reach;
    private readonly IDisposable? _owner;

    // Changed only by interlocked operations. Whoever takes it from 1 to 0 unmaps; it never leaves 0 again.
    private int _references = 1;
    private int _disposed;

    // Spaces in which a region of the block is in place; interlocked too.
    private int _spaces;

    private RamBlock(string name, ulong size, ulong mappedSize, RamPages pages, HostAddress address, SafeFileDescriptor? file)
    {
        File = file;
        Name = name;
        Size = size;
        Pages = pages;
        _mappedSize = mappedSize;
        _reach = size;
        HostAddress = address;
        // SAFETY: only stores the address that mmap returned; every use checks its offset against the mapped size.
        _base = (byte*)address.Value;
    }

    private RamBlock(string name, HostAddress address, ulong size, IDisposable owner)
    {
        Name = name;
        Size = size;
        HostAddress = address;
        IsForeign = true;
        _owner = owner;
        Faulting = owner as FaultingMemory;
    }

    /// <summary>What the block is for.</summary>
    public string Name { get; }

    /// <summary>The size in bytes as asked for. The mapping is rounded up to whole pages.</summary>
    public ulong Size { get; }

    /// <summary>The pages behind the block.</summary>
    public RamPages Pages { get; }

    /// <summary>Where the block starts in this process; aligned to its pages.</summary>
    public HostAddress HostAddress { get; }

    /// <summary>
    /// The file that the memory is, from its start, for processes that share it; null for memory of this process alone. The block's: open while it is mapped.
    /// </summary>
    public SafeFileDescriptor? File { get; }

    /// <summary>True for memory that this process must never touch.</summary>
    public bool IsForeign { get; }

    /// <summary>
    /// The memory whose pages come at a touch and go again; null for blocks whose pages stay. Such a block is foreign, and for memory slots only: what pins
    /// pages for DMA would hold one that is to be taken back.
    /// </summary>
    public FaultingMemory? Faulting { get; }

    /// <summary>
    /// Makes a block of <paramref name="size"/> zero bytes. A shared one is a file (<see cref="File"/>), so that another process can be given it; what that
    /// process has mapped stays its own for as long as it likes.
    /// </summary>
    /// <exception cref="ApertureException">The size is 0, huge pages are not reserved in number, or the host refuses the mapping.</exception>
    public static RamBlock Create(string name, ulong size, RamPages pages = RamPages.Ordinary, bool shared = false)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        ulong page = pages.PageSize();
        if (size == 0 || size > long.MaxValue - page)
        {
            throw new ApertureException($"{name}: a memory block of {ByteSize.Format(size)} cannot be made; give a size from 1 byte to less than 2^63");
        }

        ulong mappedSize = (size + page - 1) & ~(page - 1);
        HostAddress address;
        SafeFileDescriptor? file = null;
        if (shared)
        {
            Check(MapFile(name, mappedSize, pages, out address, out file), name, size, pages);
        }
        else if (pages == RamPages.Ordinary)
        {
            Check(MapOrdinary(mappedSize, out address), name, size, pages);
        }
        else
        {
            // Huge pages are reserved at once: a missing one must be an error here, not a SIGBUS in a vCPU later.
            Check(MemoryMap.MapPrivateMemory(mappedSize, pages.PageBits(), out address), name, size, pages);
        }

        // Best effort: neither a core dump of the monitor nor a process that it starts should hold the guest.
        _ = MemoryMap.Advise(address, mappedSize, MemoryAdvice.DoNotDump);
        _ = MemoryMap.Advise(address, mappedSize, MemoryAdvice.DoNotFork);
        return new RamBlock(name, size, mappedSize, pages, address, file);
    }

    /// <summary>
    /// A block over memory at <paramref name="address"/> that this process must never touch, such as a device's BAR: every access through the block throws. The
    /// last release disposes <paramref name="owner"/>, which unmaps; dispose the block only after the commit that took its regions out of their space.
    /// </summary>
    public static RamBlock Foreign(string name, HostAddress address, ulong size, IDisposable owner)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        ArgumentOutOfRangeException.ThrowIfZero(size);
        ArgumentNullException.ThrowIfNull(owner);
        return new RamBlock(name, address, size, owner);
    }

    /// <summary>A foreign block over memory whose pages come at a touch. The last release disposes it.</summary>
    public static RamBlock ForFaulting(FaultingMemory memory)
    {
        ArgumentNullException.ThrowIfNull(memory);
        return new RamBlock(memory.Name, memory.Address, memory.Size, memory);
    }

    /// <summary>The bytes from <paramref name="offset"/>. Valid while somebody holds a reference to the block; the guest may change them at any time.</summary>
    /// <exception cref="ArgumentOutOfRangeException">Not inside the block.</exception>
    /// <exception cref="InvalidOperationException">The block is foreign; so for every access below.</exception>
    public Span<byte> AsSpan(ulong offset, int length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        // SAFETY: At has checked that length bytes from the offset are inside the mapping, which lives as long as a reference does.
        return new Span<byte>(At(offset, (ulong)length), length);
    }

    /// <summary>Reads a value; one load with acquire order when it has 1, 2, 4 or 8 bytes and is naturally aligned.</summary>
    /// <exception cref="ArgumentOutOfRangeException">Not inside the block.</exception>
    public T Read<T>(ulong offset) where T : unmanaged
    {
        // SAFETY: At has checked that sizeof(T) bytes from the offset are inside the mapping; RamAccess stays inside them.
        return RamAccess.Load<T>(At(offset, (ulong)sizeof(T)));
    }

    /// <summary>Writes a value; one store with release order when it has 1, 2, 4 or 8 bytes and is naturally aligned.</summary>
    /// <exception cref="ArgumentOutOfRangeException">Not inside the block.</exception>
    public void Write<T>(ulong offset, T value) where T : unmanaged
    {
        // SAFETY: as in Read.
        RamAccess.Store(At(offset, (ulong)sizeof(T)), value);
    }

    /// <summary>Copies bytes out; 1, 2, 4 or 8 naturally aligned bytes are one load.</summary>
    /// <exception cref="ArgumentOutOfRangeException">Not inside the block.</exception>
    public void Read(ulong offset, Span<byte> destination)
    {
        // SAFETY: as in AsSpan.
        RamAccess.CopyOut(At(offset, (ulong)destination.Length), destination);
    }

    /// <summary>Copies bytes in; 1, 2, 4 or 8 naturally aligned bytes are one store.</summary>
    /// <exception cref="ArgumentOutOfRangeException">Not inside the block.</exception>
    public void Write(ulong offset, ReadOnlySpan<byte> source)
    {
        // SAFETY: as in AsSpan.
        RamAccess.CopyIn(At(offset, (ulong)source.Length), source);
    }

    /// <summary>Gives up the creator's reference. The memory goes when no address space holds the block any more.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) == 0)
        {
            if (Volatile.Read(ref _spaces) == 0)
            {
                GiveBackPages();
            }

            Release();
        }
    }

    /// <summary>Takes a reference for an address space.</summary>
    /// <exception cref="ObjectDisposedException">The memory is already gone.</exception>
    internal void AddReference()
    {
        int seen = Volatile.Read(ref _references);
        while (true)
        {
            ObjectDisposedException.ThrowIf(seen == 0, this);
            int before = Interlocked.CompareExchange(ref _references, seen + 1, seen);
            if (before == seen)
            {
                return;
            }

            seen = before;
        }
    }

    /// <summary>Gives a reference back; the last one unmaps.</summary>
    internal void Release()
    {
        if (Interlocked.Decrement(ref _references) == 0)
        {
            if (_owner is not null)
            {
                _owner.Dispose();
                return;
            }

            _ = MemoryMap.Unmap(HostAddress, _mappedSize);
            File?.Dispose();
        }
    }

    /// <summary>A first region of the block is in place in a space that has a reference to it.</summary>
    internal void EnterSpace() => Interlocked.Increment(ref _spaces);

    /// <summary>No region of the block is in place in that space any more. Before the space gives its reference back.</summary>
    internal void LeaveSpace()
    {
        // Of a disposal at the same moment, one of the two sees the other: both write their word with a full barrier first.
        if (Interlocked.Decrement(ref _spaces) == 0 && Volatile.Read(ref _disposed) != 0)
        {
            GiveBackPages();
        }
    }

    internal bool IsMapped => Volatile.Read(ref _references) > 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private byte* At(ulong offset, ulong length)
    {
        if (offset > _reach || length > _reach - offset || _references == 0)
        {
            Refuse(offset, length);
        }

        // SAFETY: the offset is inside the mapping.
        return _base + offset;
    }

    // With a reference held. Best effort: the mapping stays either way, and huge pages can be given back since Linux 5.18.
    private void GiveBackPages()
    {
        if (!IsForeign)
        {
            _ = MemoryMap.Advise(HostAddress, _mappedSize, File is null ? MemoryAdvice.DontNeed : MemoryAdvice.Remove);
        }
    }

    private void Refuse(ulong offset, ulong length)
    {
        ObjectDisposedException.ThrowIf(!IsMapped, this);
        if (IsForeign)
        {
            throw new InvalidOperationException($"{Name} is a device's memory, which this process must not touch");
        }

        throw new ArgumentOutOfRangeException(nameof(offset), $"0x{length:x} bytes at 0x{offset:x} are not inside {Name} of 0x{Size:x} bytes");
    }

    // Memory that can hold a huge page starts at a multiple of one, as guest addresses do: only then can KVM and the IOMMU map it by huge pages too.
    private static int MapOrdinary(ulong size, out HostAddress address)
    {
        ulong alignment = RamPages.Huge2M.PageSize();
        if (size < alignment)
        {
            return MemoryMap.MapPrivateMemory(size, 0, out address);
        }

        int errno = AlignedRoom.TryTake(size, alignment, 0, usable: true, out address);
        if (errno != 0)
        {
            return errno;
        }

        // Best effort: a kernel without transparent huge pages gives small ones.
        _ = MemoryMap.Advise(address, size, MemoryAdvice.HugePage);
        return 0;
    }

    // As MapOrdinary where pages are ordinary; huge pages of a file are reserved when it is mapped, like those without one.
    private static int MapFile(string name, ulong size, RamPages pages, out HostAddress address, out SafeFileDescriptor? file)
    {
        address = default;
        int errno = MemoryFile.TryMake(name, size, pages == RamPages.Ordinary ? 0 : pages.PageBits(), out file);
        if (errno == 0)
        {
            ulong alignment = Math.Max(RamPages.Huge2M.PageSize(), pages.PageSize());
            errno = ForeignMapping.TryMap(file, 0, size, 0, size < alignment ? 0 : alignment, readable: true, writable: true, out address);
        }

        if (errno != 0)
        {
            file.Dispose();
            return errno;
        }

        // Best effort, as there.
        _ = MemoryMap.Advise(address, size, MemoryAdvice.HugePage);
        return 0;
    }

    private static void Check(int errno, string name, ulong size, RamPages pages)
    {
        if (errno != 0)
        {
            throw pages == RamPages.Ordinary
                ? new ApertureException(
                    $"{name}: the host did not map {ByteSize.Format(size)} of memory: {MemoryMap.Describe(errno)}", ApertureException.HostFailure)
                : HugePages.Failure(name, size, pages, errno);
        }
    }
}
