using Aperture.Hypervisor.Arm64;

namespace Aperture.Hypervisor;

/// <summary>A hypervisor of this host, for one machine.</summary>
public interface IHypervisor : IDisposable
{
    /// <summary>What its guests' physical address space is like; known before there is a VM.</summary>
    HypervisorLimits Limits { get; }

    /// <summary>Makes the VM, empty. May take milliseconds; once.</summary>
    /// <exception cref="ApertureException">The host refuses, or has no such hypervisor.</exception>
    IVm CreateVm();
}

/// <summary>What a hypervisor says of its guests.</summary>
/// <param name="PhysicalAddressBits">Its width.</param>
/// <param name="Kept">Ranges that the hypervisor keeps for itself: neither memory nor a device may be there.</param>
public sealed record HypervisorLimits(int PhysicalAddressBits, IReadOnlyList<KeptRange> Kept)
{
    /// <summary>Its vCPUs have system management mode, with memory that only this mode sees.</summary>
    public bool HasManagementMode { get; init; }

    /// <summary>What its guests have where they are arm64's; null where they are a PC's.</summary>
    public Arm64Guest? Arm64 { get; init; }
}

/// <summary>A range that a hypervisor keeps for itself.</summary>
/// <param name="Range">The guest addresses.</param>
/// <param name="What">What it is, for sentences: <c>the pages that KVM keeps for itself</c>.</param>
public sealed record KeptRange(AddressRange Range, string What);
