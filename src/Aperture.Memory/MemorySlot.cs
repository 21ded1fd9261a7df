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
