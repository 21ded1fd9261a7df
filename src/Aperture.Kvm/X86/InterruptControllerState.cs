using Aperture.Linux;
using Aperture.Linux.Kvm;

namespace Aperture.Kvm.X86;

/// <summary>The in-kernel PICs, I/O APIC and interval timer as they were just after they were made: what a reset goes back to.</summary>
internal sealed class InterruptControllerState
{
    // KVM_IRQCHIP_PIC_MASTER, PIC_SLAVE and IOAPIC of asm/kvm.h.
    private const uint Chips = 3;

    private readonly byte[][] _chips = new byte[Chips][];
    private readonly byte[] _pit = new byte[KvmStateSize.Pit];

    public static InterruptControllerState Save(SafeFileDescriptor vm)
    {
        InterruptControllerState state = new();
        for (uint chip = 0; chip < Chips; chip++)
        {
            state._chips[chip] = new byte[KvmStateSize.Irqchip];
            KvmIoctl.GetIrqchip(vm, chip, state._chips[chip]);
        }

        KvmIoctl.GetPit(vm, state._pit);
        return state;
    }

    public void Restore(SafeFileDescriptor vm)
    {
        foreach (byte[] chip in _chips)
        {
            KvmIoctl.SetIrqchip(vm, chip);
        }

        KvmIoctl.SetPit(vm, _pit);
    }
}
