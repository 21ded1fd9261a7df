namespace Aperture.Hypervisor.Arm64;

/// <summary>What a hypervisor gives its arm64 guests, known before there is a VM. The board tells the guest of it.</summary>
public sealed record Arm64Guest
{
    /// <summary>Messages can become interrupts: there is a translation service to make.</summary>
    public required bool HasIts { get; init; }

    /// <summary>vCPUs have performance counters (PMUv3), whose overflow is <see cref="PmuInterrupt"/>.</summary>
    public bool HasPmu { get; init; }

    /// <summary>INTID of the performance counters' interrupt, private to each vCPU (PPI 7, as the Base System Architecture says).</summary>
    public const int PmuInterrupt = 23;
}
