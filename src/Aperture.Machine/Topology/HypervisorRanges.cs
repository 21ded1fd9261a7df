using Aperture.Kvm;
using Aperture.Placement.Platforms;
using ReservedRange = Aperture.Placement.Request.ReservedRange;

namespace Aperture.Machine.Topology;

/// <summary>Guest memory that the hypervisor keeps for itself.</summary>
internal static class HypervisorRanges
{
    /// <summary>The identity map page and the three pages of the task state segment: a memory slot there would be refused (KVM API 4.36, 4.37).</summary>
    public static ReservedRange KvmPages { get; } =
        new(new AddressRange(new KvmVmOptions().ReservedPages, 0x4000), "the pages that KVM keeps for itself");

    /// <summary>What nothing may be placed on, RAM and ECAM aside: the PC's own ranges and the hypervisor's.</summary>
    public static IReadOnlyList<ReservedRange> WithBoard { get; } = [.. PlatformLimits.Q35Reserved, KvmPages];
}
