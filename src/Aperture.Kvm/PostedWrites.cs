using Aperture.Hypervisor;
using Aperture.Linux;
using Aperture.Linux.Kvm;
using Aperture.Memory;

namespace Aperture.Kvm;

/// <summary>
/// Guest writes that the kernel collects in a ring instead of leaving the guest for each (KVM API 4.116, coalesced MMIO). They are delivered, in order,
/// before any later exit of the machine is answered, so a device cannot tell them from writes that came at once; only someone who looks at it from
/// outside, a display's reader, has to ask for <see cref="Deliver"/> first. Thread-safe; allocates nothing.
/// </summary>
public sealed unsafe class PostedWrites : IPostedWrites
{
    // struct kvm_coalesced_mmio_ring: two indexes, then entries to the end of its page.
    private const int Header = 8;
    private const int EntrySize = 24;

    // struct kvm_coalesced_mmio.
    private const int LengthOffset = 8;
    private const int DataOffset = 16;

    private static readonly int PageSize = Environment.SystemPageSize;
    private static readonly uint Entries = (uint)((PageSize - Header) / EntrySize);

    private readonly SafeFileDescriptor _vm;
    private readonly Lock _gate = new();

    // Set when vCPU 0 is made, before its thread is; cleared, with the gate held, before the page goes.
    private byte* _ring;

    internal PostedWrites(SafeFileDescriptor vm) => _vm = vm;

    /// <summary>True while writes wait. A look without a lock: a write that the own vCPU made before its exit is seen.</summary>
    internal bool IsPending
    {
        get
        {
            // SAFETY: the ring's page belongs to vCPU 0, which is disposed after every vCPU's thread has ended; the two indexes are its first words.
            byte* ring = _ring;
            return ring != null && Volatile.Read(ref *(uint*)(ring + 4)) != Volatile.Read(ref *(uint*)ring);
        }
    }

    /// <summary>Collects writes to <paramref name="range"/> (below 4 GiB in size) from now on. False where the kernel does not, and each exits.</summary>
    public bool TryAdd(AddressRange range) => _ring != null && KvmIoctl.TryCollectWrites(_vm, range.Start.Value, (uint)range.Size) == 0;

    // Where the kernel does not, every write exits.
    void IPostedWriteBackend.Add(AddressRange range) => _ = TryAdd(range);

    /// <summary>Ends what <see cref="TryAdd"/> began for the same range. What waits stays to be delivered.</summary>
    public void Remove(AddressRange range) => _ = KvmIoctl.TryStopCollecting(_vm, range.Start.Value, (uint)range.Size);

    /// <summary>Gives every write that waits to <paramref name="exits"/>, which no other thread uses meanwhile except in calls of this.</summary>
    public void Deliver(IVcpuExits exits)
    {
        ArgumentNullException.ThrowIfNull(exits);
        lock (_gate)
        {
            if (_ring == null)
            {
                return;
            }

            // SAFETY: as above; the kernel writes entries up to last, this side alone moves first, and both indexes are checked against the ring's size.
            uint first = *(uint*)_ring;
            while (first < Entries && first != Volatile.Read(ref *(uint*)(_ring + 4)))
            {
                Dispatch(exits, _ring + Header + (first * EntrySize));
                first = (first + 1) % Entries;
                Volatile.Write(ref *(uint*)_ring, first);
            }
        }
    }

    /// <summary>Says where the ring is, <paramref name="pageIndex"/> pages into the mapping of a vCPU; 0 where the kernel has none.</summary>
    internal void Attach(KvmRunPage page, int pageIndex)
    {
        if (pageIndex > 0 && (pageIndex + 1) * PageSize <= page.Size)
        {
            _ring = (byte*)page.Start.Value + (pageIndex * PageSize);
        }
    }

    internal void Detach()
    {
        lock (_gate)
        {
            _ring = null;
        }
    }

    private static void Dispatch(IVcpuExits exits, byte* entry)
    {
        // SAFETY: an entry inside the ring; at most its 8 bytes of data are read.
        GuestAddress address = new(*(ulong*)entry);
        int length = Math.Min(*(int*)(entry + LengthOffset), sizeof(ulong));
        for (int offset = 0; offset < length;)
        {
            int size = Vcpu.PieceOf(length - offset);
            exits.MmioWrite(address + (ulong)offset, size, Vcpu.Load(entry + DataOffset + offset, size));
            offset += size;
        }
    }
}
