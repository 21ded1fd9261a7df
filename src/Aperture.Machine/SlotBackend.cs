using Aperture.Kvm;
using Aperture.Linux;
using Aperture.Memory;

namespace Aperture.Machine;

/// <summary>Puts planned memory slots into KVM.</summary>
internal sealed class SlotBackend(KvmMemorySlots slots) : IMemorySlotBackend
{
    public int MaxSlots => slots.MaxSlots;

    public int Set(int id, in MemorySlot slot)
    {
        try
        {
            slots.Set(id, slot.Range.Start, slot.Range.Size, slot.Host, slot.IsReadOnly, logDirty: false);
            return 0;
        }
        catch (LinuxException refused)
        {
            return refused.Errno;
        }
    }

    public int Delete(int id)
    {
        try
        {
            slots.Delete(id);
            return 0;
        }
        catch (LinuxException refused)
        {
            return refused.Errno;
        }
    }
}

/// <summary>Keeps vCPUs out of the guest while live memory is replaced.</summary>
internal sealed class VcpuBarrier(VcpuGroup vcpus) : IViewBarrier
{
    public IDisposable StopVcpus() => vcpus.PauseOthers();
}
