using Aperture.Linux.Kvm;

namespace Aperture.Kvm.Arm64;

/// <summary>KVM on arm64.</summary>
internal sealed class Arm64Host : HostArchitecture
{
    /// <inheritdoc/>
    public override IReadOnlyList<(KvmCapability Capability, string What)> Needed { get; } =
    [
        (KvmCapability.OneRegister, "registers by number (KVM_CAP_ONE_REG)"),
        (KvmCapability.Psci, "PSCI 0.2 (KVM_CAP_ARM_PSCI_0_2)"),
        (KvmCapability.Devices, "devices in the kernel (KVM_CAP_DEVICE_CTRL)"),
    ];

    /// <summary>KVM is there where the kernel was started at EL2; firmware decides that, or the hypervisor of a host that is a guest (booting.rst).</summary>
    public override string WhenAbsent =>
        "this kernel has no KVM, or was not started at EL2, as in a guest without nested virtualisation; start it on the machine itself, from firmware "
            + "that enters it at EL2.";

    /// <inheritdoc/>
    public override string WhenWithoutDriver => "use a kernel with KVM that was started at EL2.";

    /// <inheritdoc/>
    public override KvmAbility Probe(string path) => Arm64Probe.Run(path);
}
