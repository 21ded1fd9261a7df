namespace Aperture.Memory;

/// <summary>A run of guest memory that the hypervisor maps straight to host memory (KVM API 4.35, KVM_SET_USER_MEMORY_REGION).</summary>
/// <param name="Range">The guest addresses: whole 4 KiB pages.</param>
/// <param name="Host">The host memory behind the first byte; page-aligned.</param>
/// <param name="IsReadOnly">Guest writes exit instead of reaching the memory (KVM_MEM_READONLY).</param>
/// <param name="Region">The region the slot shows.</param>
public readonly record struct MemorySlot(AddressRange Range, HostAddress Host, bool IsReadOnly, Region Region)
{
    /// <summary>The granule of slots, in bytes.</summary>
    public const ulong PageSize = 4096;

    /// <summary>The most that one slot spans, in bytes. KVM takes up to 2^31 - 1 pages; half of that keeps the pieces aligned.</summary>
    public const ulong MaxSize = 1UL << 42;
}

/// <summary>Guest memory that is not in a slot although it is RAM: each access exits and is answered from the memory.</summary>
/// <param name="Range">The addresses.</param>
/// <param name="Region">The region they belong to.</param>
/// <param name="Reason">Why, in one sentence.</param>
public readonly record struct TrappedRange(AddressRange Range, Region Region, string Reason);

/// <summary>The hypervisor's table of slots. Called with the space's change lock held, by one thread at a time.</summary>
public interface IMemorySlotBackend
{
    /// <summary>How many slots there may be; their ids are 0 to this less 1.</summary>
    int MaxSlots { get; }

    /// <summary>Fills the empty slot <paramref name="id"/>. Returns 0, or the errno with which the host refused; the slot is then still empty.</summary>
    int Set(int id, in MemorySlot slot);

    /// <summary>Empties slot <paramref name="id"/>. Returns 0, or the errno with which the host refused; the slot is then still in place.</summary>
    int Delete(int id);
}
