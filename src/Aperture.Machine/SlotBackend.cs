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

/// <summary>Keeps vCPUs out of the guest while live memory is replaced.</summary>
internal sealed class VcpuBarrier(VcpuGroup vcpus) : IViewBarrier
{
    public IDisposable StopVcpus() => vcpus.PauseOthers();
}
