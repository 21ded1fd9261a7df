using Aperture.Hypervisor;
using Aperture.Machine.Assigned;

namespace Aperture.Machine.Tests.Assigned;

public class GrantFaultHandlerTests
{
    private static readonly VcpuStop Fault = new(VcpuStopKind.MemoryFault, 0, "fault");

    [Theory]
    [InlineData(true, VcpuAction.Continue)]
    [InlineData(false, VcpuAction.Continue)]
    [InlineData(null, VcpuAction.Park)]
    public void A_vCPU_tries_again_where_there_is_memory_that_is_granted(bool? repaired, VcpuAction expected)
    {
        List<VcpuStop> stopped = [];
        GrantFaultHandler handler = new(() => repaired, Stop);
        Assert.Equal(expected, handler.Stopped(Fault));
        Assert.Equal(repaired is null ? 1 : 0, stopped.Count);

        VcpuAction Stop(VcpuStop stop)
        {
            stopped.Add(stop);
            return VcpuAction.Park;
        }
    }

    [Fact]
    public void What_is_no_fault_of_memory_is_not_looked_into()
    {
        GrantFaultHandler handler = new(() => throw new InvalidOperationException("nobody asked"), static _ => VcpuAction.Park);
        Assert.Equal(VcpuAction.Park, handler.Stopped(new VcpuStop(VcpuStopKind.HostError, 0, "stuck")));
    }
}
