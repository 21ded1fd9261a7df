using System.Globalization;
using Aperture.Linux;
using Aperture.Linux.Kvm;
using Aperture.Memory;

namespace Aperture.Kvm;

/// <summary>
/// A VM's memory slots: runs of guest physical pages that the guest reaches without an exit. Slots may neither overlap nor be resized: delete and set
/// again, with the vCPUs held (<see cref="VcpuGroup.PauseOthers"/>) when the guest must not see the gap. Not thread-safe: one owner at a time.
/// </summary>
public sealed class KvmMemorySlots : IMemorySlotBackend
{
    // KVM_MEM_LOG_DIRTY_PAGES and KVM_MEM_READONLY of linux/kvm.h.
    private const uint LogDirty = 1;
    private const uint ReadOnly = 2;

    // Where the number of the address space is in a slot's number (KVM API 4.35).
    private const int AddressSpaceShift = 16;

    private readonly SafeFileDescriptor _vm;
    private readonly uint _addressSpace;

    // Address space 0 is what vCPUs see, 1 what they see in system management mode.
    internal KvmMemorySlots(SafeFileDescriptor vm, uint addressSpace = 0)
    {
        _vm = vm;
        _addressSpace = addressSpace << AddressSpaceShift;
        MaxSlots = Math.Max(32, KvmIoctl.CheckExtension(vm, KvmCapability.MemorySlots));
        CanBeReadOnly = KvmIoctl.CheckExtension(vm, KvmCapability.ReadOnlyMemory) != 0;
    }

    /// <summary>How many slots there are (KVM_CAP_NR_MEMSLOTS); numbers run from 0.</summary>
    public int MaxSlots { get; }

    /// <summary>True when KVM has read-only slots (KVM_CAP_READONLY_MEM): a write to one exits as MMIO.</summary>
    public bool CanBeReadOnly { get; }

    /// <summary>Makes <paramref name="slot"/>, which must be empty, or changes only the dirty logging of one with the same values.</summary>
    /// <param name="slot">0 to <see cref="MaxSlots"/> - 1.</param>
    /// <param name="address">First guest address, page aligned.</param>
    /// <param name="size">Bytes, whole pages, not 0.</param>
    /// <param name="memory">Where the memory is in this process, page aligned; it must stay mapped until the slot is deleted.</param>
    /// <param name="readOnly">Guest writes exit as MMIO.</param>
    /// <param name="logDirty">KVM notes which pages the guest writes.</param>
    /// <exception cref="LinuxException">KVM refused: EEXIST for an overlap, EINVAL for a bad shape.</exception>
    public void Set(int slot, GuestAddress address, ulong size, HostAddress memory, bool readOnly, bool logDirty)
    {
        int errno = TrySet(slot, address, size, memory, readOnly, logDirty);
        if (errno != 0)
        {
            ulong page = (ulong)Environment.SystemPageSize;
            bool pages = address.IsAligned(page) && size % page == 0 && memory.Value % page == 0;
            string shape = pages ? "" : " (not whole pages)";
            throw new LinuxException(
                string.Create(CultureInfo.InvariantCulture, $"KVM refused memory slot {slot}: 0x{size:x} bytes at {address}{shape}"), errno);
        }
    }

    /// <summary>Empties <paramref name="slot"/>: its addresses trap again. Emptying an empty slot is refused by KVM.</summary>
    /// <exception cref="LinuxException">KVM refused.</exception>
    public void Delete(int slot)
    {
        int errno = TryDelete(slot);
        if (errno != 0)
        {
            throw new LinuxException($"KVM refused to delete memory slot {slot}", errno);
        }
    }

    /// <summary>As <see cref="Set"/>, answering with 0 or the errno with which KVM refused; the slot is then as it was.</summary>
    public int TrySet(int slot, GuestAddress address, ulong size, HostAddress memory, bool readOnly, bool logDirty)
    {
        CheckSlot(slot);
        ArgumentOutOfRangeException.ThrowIfZero(size);
        return -KvmIoctl.TrySetMemoryRegion(_vm, new KvmMemoryRegion
        {
            Slot = _addressSpace | (uint)slot,
            Flags = (readOnly ? ReadOnly : 0) | (logDirty ? LogDirty : 0),
            GuestPhysicalAddress = address.Value,
            MemorySize = size,
            UserspaceAddress = memory.Value,
        });
    }

    /// <summary>As <see cref="Delete"/>, answering with 0 or the errno with which KVM refused.</summary>
    public int TryDelete(int slot)
    {
        CheckSlot(slot);
        return -KvmIoctl.TrySetMemoryRegion(_vm, new KvmMemoryRegion { Slot = _addressSpace | (uint)slot });
    }

    int IMemorySlotBackend.Set(int id, in MemorySlot slot) => TrySet(id, slot.Range.Start, slot.Range.Size, slot.Host, slot.IsReadOnly, logDirty: false);

    int IMemorySlotBackend.Delete(int id) => TryDelete(id);

    private void CheckSlot(int slot)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(slot);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(slot, MaxSlots);
    }
}
