using Aperture.Kvm.Arm64;
using Aperture.Kvm.X86;

namespace Aperture.Kvm;

/// <summary>How a VM is made.</summary>
public sealed record KvmVmOptions
{
    /// <summary>
    /// One page for KVM's identity map, then three for its task state segment (KVM API 4.36, 4.37): 16 KiB below 4 GiB that neither a memory slot nor
    /// a device may use. Some Intel processors need them to run real mode.
    /// </summary>
    public static AddressRange KeptPages { get; } = new(new GuestAddress(0xFEFF_C000), 0x4000);

    /// <summary>
    /// In-kernel interrupt controllers: a PC's PICs, I/O APIC, local APICs and interval timer, or an arm64 machine's GIC. Without them HLT leaves
    /// a PC's guest and no interrupt arrives.
    /// </summary>
    public bool InterruptControllers { get; init; } = true;

    /// <summary>The vCPUs that <see cref="Hypervisor.IVm.PrepareExits"/> makes, a PC's.</summary>
    public VcpuTemplate? Vcpus { get; init; }

    /// <summary>What makes it an arm64 machine's VM; null for a PC's.</summary>
    public Arm64Template? Arm64 { get; init; }

    internal VmArchitecture Architecture => Arm64 is { } template ? new Arm64Vm(template, InterruptControllers) : new X86Vm(InterruptControllers, Vcpus);
}

/// <summary>A PC's vCPUs.</summary>
/// <param name="Count">How many.</param>
/// <param name="Cpuid">What CPUID answers.</param>
public sealed record VcpuTemplate(int Count, CpuidTable Cpuid);
