using Aperture.Linux.Kvm;

namespace Aperture.Kvm.X86;

/// <summary>KVM on x86-64.</summary>
internal sealed class X86Host : HostArchitecture
{
    /// <inheritdoc/>
    public override IReadOnlyList<(KvmCapability Capability, string What)> Needed { get; } =
    [
        (KvmCapability.SetTssAddress, "a movable task state segment (KVM_CAP_SET_TSS_ADDR)"),
        (KvmCapability.SetIdentityMapAddress, "a movable identity map page (KVM_CAP_SET_IDENTITY_MAP_ADDR)"),
        (KvmCapability.ExtendedCpuid, "CPUID tables (KVM_CAP_EXT_CPUID)"),
    ];

    /// <inheritdoc/>
    public override string WhenAbsent =>
        "enable virtualisation in the host's firmware (or nested virtualisation, if the host is itself a guest) and load the "
            + "module kvm_intel or kvm_amd.";

    /// <inheritdoc/>
    public override string WhenWithoutDriver => "load the module kvm_intel or kvm_amd.";

    /// <inheritdoc/>
    public override KvmAbility Probe(string path) => AbilityProbe.Run(path);
}
