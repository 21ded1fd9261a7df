using Aperture.Hypervisor;

namespace Aperture.Machine.Assigned;

/// <summary>
/// Lets guests live that get at memory whose pages come at a touch, and that the kernel does not let them have at the moment: what its source lost is asked
/// for again, what may only be read loses the write, and what goes by itself, such as a device that does not decode, is tried again. It ends: a vCPU tells of an
/// instruction that tries for too long as of a failure of the host.
/// </summary>
/// <param name="repair">Looks for what can be done; null where there is no such memory.</param>
/// <param name="stopped">Decides about everything else.</param>
internal sealed class GrantFaultHandler(Func<bool?> repair, Func<VcpuStop, VcpuAction> stopped)
{
    /// <summary>What becomes of a vCPU that cannot go on by itself.</summary>
    public VcpuAction Stopped(VcpuStop stop)
    {
        if (stop.Kind != VcpuStopKind.MemoryFault || repair() is not { } repaired)
        {
            return stopped(stop);
        }

        if (!repaired)
        {
            // Whatever it waits for is not this processor's to do.
            Thread.Sleep(1);
        }

        return VcpuAction.Continue;
    }
}
