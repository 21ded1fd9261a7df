using Aperture.Memory;

namespace Aperture.Hypervisor;

/// <summary>
/// Guest writes that are collected instead of leaving the guest for each. They are delivered, in order, before any later exit of the machine is answered; only
/// someone who looks at a device from outside, a display's reader, has to ask for <see cref="Deliver"/> first. Thread-safe; allocates nothing.
/// </summary>
public interface IPostedWrites : IPostedWriteBackend
{
    /// <summary>Gives every write that waits to <paramref name="exits"/>, which no other thread uses meanwhile except in calls of this.</summary>
    void Deliver(IVcpuExits exits);
}
