using Aperture.Memory;

namespace Aperture.Hypervisor;

/// <summary>
/// A virtual machine as its hypervisor has it. Interrupts and exits are what every backend has; the rest are parts that one may lack, which is then null: a
/// device model for Xen has neither vCPUs nor memory slots. As a sink of messages it looks at the requester where interrupts are translated by
/// it (a GIC with ITS). Thread-safe but for <see cref="Slots"/>, which has one owner at a time, and for being disposed, which comes after what
/// <see cref="PrepareExits"/> gave.
/// </summary>
public interface IVm : IMsiSink, IDisposable
{
    /// <summary>Memory slots; null where the hypervisor, not this process, gives the guest its memory.</summary>
    IMemorySlotBackend? Slots { get; }

    /// <summary>Memory slots that only vCPUs in system management mode see, instead of <see cref="Slots"/>; null where there is no such mode.</summary>
    IMemorySlotBackend? ManagementSlots => null;

    /// <summary>Where the backend has to be told which addresses exit to this process; null where all do that are in no slot.</summary>
    IExitRanges? ExitRanges { get; }

    /// <summary>Interrupts from event descriptors, without this process; null where each has to be raised by it.</summary>
    IGuestInterrupts? EventInterrupts { get; }

    /// <summary>Guest writes that signal an event descriptor; null where each exits.</summary>
    IIoEvents? IoEvents { get; }

    /// <summary>Guest writes that are collected; null where each exits.</summary>
    IPostedWrites? PostedWrites { get; }

    /// <summary>Where the hypervisor has to know the files of assigned devices.</summary>
    IDeviceFiles? DeviceFiles { get; }

    /// <summary>Messages that no interrupt controller took.</summary>
    long DroppedMessages { get; }

    /// <summary>
    /// Interrupt input <paramref name="gsi"/>: a pin of the I/O APIC, or a shared input of the GIC (SPI 0 up). One line has one driver; several devices on one
    /// input are combined by the caller.
    /// </summary>
    IInterruptLine Line(uint gsi);

    /// <summary>Puts the interrupt controllers back to their state at power-on, where the hypervisor does not do so itself; with the vCPUs stopped.</summary>
    void ResetInterruptControllers();

    /// <summary>Makes what exits come from: vCPUs, or a place among those that answer another's vCPUs. May take milliseconds; once.</summary>
    /// <exception cref="ApertureException">The host refuses.</exception>
    IExitSource PrepareExits();
}

/// <summary>Listeners by which a backend learns which addresses end in this process: it follows both views as slots follow the one of memory.</summary>
public interface IExitRanges
{
    /// <summary>Follows guest physical memory.</summary>
    IFlatViewListener Memory { get; }

    /// <summary>Follows the I/O ports.</summary>
    IFlatViewListener Ports { get; }
}
