using Aperture.Kvm;
using Aperture.Memory;

namespace Aperture.Machine;

/// <summary>Puts planned memory slots into KVM.</summary>
internal sealed class SlotBackend(KvmMemorySlots slots) : IMemorySlotBackend
{
    public int MaxSlots => slots.MaxSlots;

    public int Set(int id, in MemorySlot slot) =>
        slots.TrySet(id, slot.Range.Start, slot.Range.Size, slot.Host, slot.IsReadOnly, logDirty: false);

    public int Delete(int id) => slots.TryDelete(id);
}

/// <summary>Has KVM collect writes.</summary>
internal sealed class PostedWriteBackend(PostedWrites writes) : IPostedWriteBackend
{
    // Where KVM does not, every write exits.
    public void Add(AddressRange range) => _ = writes.TryAdd(range);

    public void Remove(AddressRange range) => writes.Remove(range);
}

/// <summary>Keeps vCPUs out of the guest while live memory is replaced.</summary>
internal sealed class VcpuBarrier(VcpuGroup vcpus) : IViewBarrier
{
    public IDisposable StopVcpus() => vcpus.PauseOthers();
}
