namespace Aperture.Kvm.Tests;

public class FaultPatienceTests
{
    [Fact]
    public void One_instruction_that_faults_again_and_again_is_given_up_after_its_time()
    {
        FaultPatience patience = default;
        for (long now = 100; now <= 100 + FaultPatience.Most; now += 10)
        {
            Assert.False(patience.IsOver(0x1000, now));
        }

        Assert.True(patience.IsOver(0x1000, 101 + FaultPatience.Most));
    }

    [Fact]
    public void An_instruction_that_moves_on_or_that_comes_back_later_has_its_time_anew()
    {
        FaultPatience patience = default;
        long now = 100;
        for (int i = 0; i < 20; i++)
        {
            now += FaultPatience.Apart + 1;
            Assert.False(patience.IsOver(0x1000, now));
        }

        for (int i = 0; i < 20; i++)
        {
            now += FaultPatience.Apart - 1;
            Assert.False(patience.IsOver((ulong)(0x1000 + (i % 2)), now));
        }
    }

    [Fact]
    public void What_is_told_of_it_is_a_failure_of_the_host() =>
        Assert.Equal(
            new Hypervisor.VcpuStop(
                Hypervisor.VcpuStopKind.HostError, 2, "vCPU 2 has tried for 5000 ms to get at guest memory that KVM cannot reach in this process"),
            VcpuExitText.Stuck(2, 5000, null));
}
