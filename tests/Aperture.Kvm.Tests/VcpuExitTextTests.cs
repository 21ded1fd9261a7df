using System.Buffers.Binary;
using Aperture.Hypervisor;
using Aperture.Linux;
using Aperture.Linux.Kvm;

namespace Aperture.Kvm.Tests;

public class VcpuExitTextTests
{
    private static byte[] Page(KvmExitReason reason)
    {
        byte[] page = new byte[4096];
        BinaryPrimitives.WriteUInt32LittleEndian(page.AsSpan(KvmRunLayout.ExitReason), (uint)reason);
        return page;
    }

    [Fact]
    public void An_instruction_that_KVM_cannot_emulate_is_shown_with_its_bytes()
    {
        byte[] page = Page(KvmExitReason.InternalError);
        page[KvmRunLayout.InternalSuberror] = 1;
        page[KvmRunLayout.InternalDataCount] = 3;
        page[KvmRunLayout.EmulationFlags] = 1;
        page[KvmRunLayout.EmulationInstructionSize] = 3;
        page.AsSpan(KvmRunLayout.EmulationInstructionBytes, 3).Fill(0xC5);
        VcpuStop stop = VcpuExitText.Describe(2, page, null)!;
        Assert.Equal(VcpuStopKind.InternalError, stop.Kind);
        Assert.Equal("KVM cannot emulate an instruction of vCPU 2: c5 c5 c5", stop.Sentence);
    }

    [Fact]
    public void Other_internal_errors_show_their_data_however_much_the_kernel_claims()
    {
        byte[] page = Page(KvmExitReason.InternalError);
        page[KvmRunLayout.InternalSuberror] = 3;
        page[KvmRunLayout.InternalDataCount] = 2;
        page[KvmRunLayout.InternalData] = 0x1F;
        page[KvmRunLayout.InternalData + 8] = 0x20;
        Assert.Equal("KVM gave up on vCPU 0: an exit while an event was being delivered (1f 20)", VcpuExitText.Describe(0, page, null)!.Sentence);
        page.AsSpan(KvmRunLayout.InternalDataCount, 4).Fill(0xFF);
        Assert.Equal(VcpuStopKind.InternalError, VcpuExitText.Describe(0, page, null)!.Kind);
    }

    [Theory]
    [InlineData(KvmExitReason.Interrupted)]
    [InlineData(KvmExitReason.IrqWindowOpen)]
    [InlineData(KvmExitReason.SetTpr)]
    [InlineData(KvmExitReason.BusLock)]
    public void Exits_that_ask_for_nothing_are_no_stops(KvmExitReason reason) => Assert.Null(VcpuExitText.Describe(0, Page(reason), null));

    [Theory]
    [InlineData(KvmExitReason.Halt, VcpuStopKind.Halt)]
    [InlineData(KvmExitReason.Shutdown, VcpuStopKind.Shutdown)]
    [InlineData(KvmExitReason.SystemEvent, VcpuStopKind.SystemEvent)]
    [InlineData(KvmExitReason.FailEntry, VcpuStopKind.FailedEntry)]
    [InlineData(KvmExitReason.Unknown, VcpuStopKind.UnknownExit)]
    [InlineData((KvmExitReason)4711, VcpuStopKind.UnknownExit)]
    public void Exits_that_end_the_run_say_which_vCPU_and_why(KvmExitReason reason, VcpuStopKind kind)
    {
        VcpuStop stop = VcpuExitText.Describe(3, Page(reason), null)!;
        Assert.Equal((kind, 3), (stop.Kind, stop.Vcpu));
        Assert.Contains("vCPU 3", stop.Sentence, StringComparison.Ordinal);
    }

    [Fact]
    public void A_failed_run_names_the_error()
    {
        Assert.Equal("KVM could not run vCPU 1: EINVAL (Invalid argument)", VcpuExitText.HostError(1, Errno.EINVAL).Sentence);
        Assert.Equal(VcpuStopKind.HostError, VcpuExitText.HostError(1, Errno.EINVAL).Kind);
        Assert.Equal(VcpuStopKind.MemoryFault, VcpuExitText.HostError(1, Errno.EFAULT).Kind);
        Assert.Contains("guest memory that KVM cannot reach", VcpuExitText.HostError(1, Errno.EFAULT).Sentence, StringComparison.Ordinal);
    }
}
