namespace Aperture.Kvm.X86;

/// <summary>What a guest's CPUID shall say where it differs from what KVM supports.</summary>
public sealed record CpuidPolicy
{
    /// <summary>vCPUs: cores of one socket, one thread each.</summary>
    public int Cpus { get; init; } = 1;

    /// <summary>Physical address bits to show at most; null: what the host has. The host's number is never exceeded.</summary>
    public int? PhysicalAddressBits { get; init; }

    /// <summary>Hides XSAVE and everything that needs it: AVX, AVX2, AVX-512, AMX, PKU.</summary>
    public bool MaskXsave { get; init; }

    /// <summary>The local APIC's timer has its TSC deadline mode (KVM_CAP_TSC_DEADLINE_TIMER).</summary>
    public bool TscDeadlineTimer { get; init; }

    /// <summary>The local APICs are in the kernel, so x2APIC and KVM's interrupt shortcuts can be offered.</summary>
    public bool InterruptControllers { get; init; } = true;
}
