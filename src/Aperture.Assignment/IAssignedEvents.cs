namespace Aperture.Assignment;

/// <summary>
/// What happens to an assigned function, told to whoever runs the machine. Called on vCPU threads and on the function's own thread; must not throw, must
/// not wait for the hierarchy's lock, and must not dispose the function: note it and return.
/// </summary>
public interface IAssignedEvents
{
    /// <summary>The host asks for the device back (VFIO_PCI_REQ_IRQ_INDEX): take it from the guest and dispose the function.</summary>
    void UnplugRequested(AssignedFunction function);

    /// <summary>The host saw an uncorrected error of the device (VFIO_PCI_ERR_IRQ_INDEX).</summary>
    void ErrorReported(AssignedFunction function);

    /// <summary>The device does not answer any more; said once. The guest reads all-ones from here on.</summary>
    void DeviceGone(AssignedFunction function, int errno);

    /// <summary>The guest asked for a reset that the host did not carry out.</summary>
    void ResetFailed(AssignedFunction function, int errno);

    /// <summary>Interrupts of a kind (<see cref="VfioIrqIndex"/>) could not be set up.</summary>
    void InterruptsFailed(AssignedFunction function, int index, int errno);

    /// <summary>
    /// The function's thread ended by a fault of this program: interrupts that it passed on, and what the host says of the device, come no more.
    /// </summary>
    void ThreadFailed(AssignedFunction function, Exception fault);
}
