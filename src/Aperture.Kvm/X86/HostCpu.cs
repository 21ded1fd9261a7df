using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;

namespace Aperture.Kvm.X86;

/// <summary>What the processor under this process says of itself (CPUID).</summary>
public static class HostCpu
{
    // SDM 2A, CPUID: leaf 1, ECX bit 31 is set under a hypervisor, which then answers leaf 0x40000000.
    private const uint UnderHypervisor = 1u << 31;
    private const int HypervisorLeaf = 0x4000_0000;

    /// <summary>The twelve letters by which the hypervisor under this host names itself; empty on bare metal.</summary>
    public static string HypervisorVendor()
    {
        if (!X86Base.IsSupported || ((uint)X86Base.CpuId(1, 0).Ecx & UnderHypervisor) == 0)
        {
            return "";
        }

        (int _, int ebx, int ecx, int edx) = X86Base.CpuId(HypervisorLeaf, 0);
        Span<int> words = [ebx, ecx, edx];
        return System.Text.Encoding.ASCII.GetString(MemoryMarshal.AsBytes(words)).TrimEnd('\0');
    }

    /// <summary>The processor's physical address width in bits (CPUID 0x80000008, EAX 7:0), or <paramref name="most"/> when that is less.</summary>
    public static int PhysicalAddressBits(int? most = null)
    {
        // What processors without the leaf have (SDM 2A, CPUID).
        int host = 36;
        if (X86Base.IsSupported && (uint)X86Base.CpuId(unchecked((int)0x8000_0000), 0).Eax >= 0x8000_0008)
        {
            host = X86Base.CpuId(unchecked((int)0x8000_0008), 0).Eax & 0xFF;
        }

        return Math.Min(host, most ?? host);
    }

    /// <summary>
    /// True when the host itself is emulated in software (QEMU's TCG). Its emulated SVM does not keep XSAVE state apart between guest and host, so XSAVE and
    /// what needs it must be hidden from guests.
    /// </summary>
    public static bool IsEmulatedInSoftware() => HypervisorVendor() == "TCGTCGTCGTCG";
}
