using Aperture.Linux.Kvm;

namespace Aperture.Linux.Tests;

/// <summary>The same questions, asked of the headers for arm64 through a compiler that makes programs for it: what is its own, and what both share.</summary>
public partial class KernelAbiTests
{
    private static readonly (Type Ours, string Theirs, string[] Fields) Arm64VcpuInit =
        (typeof(KvmVcpuInit), "struct kvm_vcpu_init", ["Target=target", "Features=features[0]"]);

    private static readonly (string Name, long Ours)[] Arm64Numbers =
    [
        ("KVM_ARM_VCPU_INIT", (long)KvmRequest.InitializeVcpu), ("KVM_ARM_PREFERRED_TARGET", (long)KvmRequest.PreferredTarget),
        ("KVM_ARM_VCPU_FINALIZE", (long)KvmRequest.FinalizeVcpu),
        ("KVM_DEV_ARM_VGIC_GRP_ADDR", KvmArm64.GroupAddresses), ("KVM_VGIC_V3_ADDR_TYPE_DIST", (long)KvmArm64.DistributorAddress),
        ("KVM_VGIC_ITS_ADDR_TYPE", (long)KvmArm64.ItsAddress), ("KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION", (long)KvmArm64.RedistributorRegion),
        ("KVM_DEV_ARM_VGIC_GRP_DIST_REGS", KvmArm64.GroupDistributor), ("KVM_DEV_ARM_VGIC_GRP_NR_IRQS", KvmArm64.GroupInterrupts),
        ("KVM_DEV_ARM_VGIC_GRP_CTRL", KvmArm64.GroupControl), ("KVM_DEV_ARM_VGIC_CTRL_INIT", (long)KvmArm64.ControlInitialize),
        ("KVM_DEV_ARM_ITS_CTRL_RESET", (long)KvmArm64.ItsReset), ("KVM_DEV_ARM_VGIC_GRP_REDIST_REGS", KvmArm64.GroupRedistributors),
        ("KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS", KvmArm64.GroupProcessorInterface),
        ("KVM_ARM_VCPU_PMU_V3_CTRL", KvmArm64.GroupPmu), ("KVM_ARM_VCPU_PMU_V3_IRQ", (long)KvmArm64.PmuInterrupt),
        ("KVM_ARM_VCPU_PMU_V3_INIT", (long)KvmArm64.PmuInitialize),
        ("KVM_ARM_VCPU_POWER_OFF", KvmArm64.FeaturePowerOff), ("KVM_ARM_VCPU_PSCI_0_2", KvmArm64.FeaturePsci), ("KVM_ARM_VCPU_PMU_V3", KvmArm64.FeaturePmu),
        ("KVM_ARM_VCPU_SVE", KvmArm64.FeatureSve), ("KVM_ARM_VCPU_PTRAUTH_ADDRESS", KvmArm64.FeaturePointerAuthenticationAddress),
        ("KVM_ARM_VCPU_PTRAUTH_GENERIC", KvmArm64.FeaturePointerAuthenticationGeneric),
        ("(KVM_ARM_IRQ_TYPE_SPI << KVM_ARM_IRQ_TYPE_SHIFT)", KvmArm64.SharedLine),
        ("(KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(regs.regs[0]))", (long)KvmArm64.X0),
        ("(KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(regs.regs[30]))", (long)KvmArm64.X(30)),
        ("(KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(regs.pc))", (long)KvmArm64.ProgramCounter),
        ("(KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(regs.pstate))", (long)KvmArm64.ProcessorState),
        ("ARM64_SYS_REG(3, 0, 0, 0, 5)", (long)KvmArm64.Affinity), ("KVM_REG_ARM_PSCI_VERSION", (long)KvmArm64.PsciVersion),
    ];

    // What x86 alone has, or has in another size.
    private static readonly string[] X86Structures =
        ["kvm_pit_config", "kvm_cpuid_entry2", "kvm_msr_entry", "kvm_regs", "kvm_segment", "kvm_dtable", "kvm_sregs"];

    private static readonly string[] X86Numbers =
    [
        "KVM_GET_MSR_INDEX_LIST", "KVM_GET_SUPPORTED_CPUID", "KVM_GET_IRQCHIP", "KVM_SET_IRQCHIP", "KVM_REINJECT_CONTROL", "KVM_CREATE_PIT2", "KVM_GET_PIT2",
        "KVM_SET_PIT2", "KVM_GET_REGS", "KVM_SET_REGS", "KVM_GET_SREGS", "KVM_SET_SREGS", "KVM_GET_MSRS", "KVM_SET_MSRS", "KVM_GET_FPU", "KVM_SET_FPU",
        "KVM_GET_LAPIC", "KVM_SET_LAPIC", "KVM_SET_CPUID2", "KVM_GET_VCPU_EVENTS", "KVM_SET_VCPU_EVENTS", "KVM_GET_DEBUGREGS", "KVM_SET_DEBUGREGS",
        "KVM_GET_XCRS", "KVM_SET_XCRS", "KVM_GET_XSAVE", "KVM_SET_XSAVE", "KVM_GET_XSAVE2", "KVM_GET_NESTED_STATE", "KVM_SET_NESTED_STATE", "KVM_RUN_X86_SMM",
        "KVM_CAP_XSAVE", "KVM_CAP_XCRS", "KVM_CAP_DEBUGREGS", "KVM_CAP_PIT2", "KVM_CAP_PIT_STATE2",
    ];

    [Fact]
    public void Structures_and_numbers_are_those_of_the_headers_for_arm64_too()
    {
        Assert.SkipUnless(CProbe.HasCrossCompiler, "needs a compiler for arm64 (packages gcc-aarch64-linux-gnu and libc6-dev-arm64-cross)");
        IEnumerable<(Type, string, string[])> shared = Structures.Where(s => !X86Structures.Contains(s.Theirs["struct ".Length..]));
        Assert.Empty(CProbe.DifferOnArm64(
        [
            .. shared.Append(Arm64VcpuInit).SelectMany(Expressions),
            .. RunPageExpressions,
            .. Numbers.Where(number => !X86Numbers.Contains(number.Name)),
            .. Arm64Numbers,
            ("offsetof(struct kvm_irq_routing, entries)", 8),
            ("offsetof(struct kvm_signal_mask, sigset)", 4),
        ]));
    }

    [Fact]
    public void A_number_that_differs_on_arm64_is_noticed()
    {
        Assert.SkipUnless(CProbe.HasCrossCompiler, "needs a compiler for arm64 (packages gcc-aarch64-linux-gnu and libc6-dev-arm64-cross)");
        Assert.Contains("KVM_CAP_IRQFD", Assert.Single(CProbe.DifferOnArm64([("KVM_CAP_IRQFD", 33), ("KVM_CAP_ONE_REG", 70)])), StringComparison.Ordinal);
    }

    [Fact]
    public void Error_names_are_those_of_the_C_library_for_arm64_too()
    {
        Assert.SkipUnless(CProbe.HasCrossCompiler, "needs a compiler for arm64 (packages gcc-aarch64-linux-gnu and libc6-dev-arm64-cross)");
        Assert.Empty(CProbe.DifferOnArm64(Enumerable.Range(1, 133).Where(e => Errno.Name(e).StartsWith('E')).Select(e => (Errno.Name(e), (long)e))));
    }
}
