using System.Runtime.InteropServices;

namespace Aperture.Linux.Kvm;

/// <summary>Numbers of KVM's interface for arm64: registers, features and devices (asm/kvm.h of arm64; Documentation/virt/kvm/devices).</summary>
public static class KvmArm64
{
    /// <summary>KVM_DEV_TYPE_ARM_VGIC_V3.</summary>
    public const uint VgicV3 = 7;

    /// <summary>KVM_DEV_TYPE_ARM_VGIC_ITS.</summary>
    public const uint VgicIts = 8;

    /// <summary>KVM_DEV_ARM_VGIC_GRP_ADDR: where a controller's frames are.</summary>
    public const uint GroupAddresses = 0;

    /// <summary>KVM_VGIC_V3_ADDR_TYPE_DIST of <see cref="GroupAddresses"/>.</summary>
    public const ulong DistributorAddress = 2;

    /// <summary>KVM_VGIC_ITS_ADDR_TYPE of <see cref="GroupAddresses"/>.</summary>
    public const ulong ItsAddress = 4;

    /// <summary>KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION of <see cref="GroupAddresses"/>: count 63:52, address 51:16, flags 15:12, index 11:0.</summary>
    public const ulong RedistributorRegion = 5;

    /// <summary>Where the count of a <see cref="RedistributorRegion"/> begins.</summary>
    public const int RedistributorCountShift = 52;

    /// <summary>KVM_DEV_ARM_VGIC_GRP_DIST_REGS: the distributor's registers, by offset.</summary>
    public const uint GroupDistributor = 1;

    /// <summary>KVM_DEV_ARM_VGIC_GRP_NR_IRQS: how many interrupts there are, the 32 private ones included.</summary>
    public const uint GroupInterrupts = 3;

    /// <summary>KVM_DEV_ARM_VGIC_GRP_CTRL.</summary>
    public const uint GroupControl = 4;

    /// <summary>KVM_DEV_ARM_VGIC_CTRL_INIT of <see cref="GroupControl"/>: everything was said; the controller is made.</summary>
    public const ulong ControlInitialize = 0;

    /// <summary>KVM_DEV_ARM_ITS_CTRL_RESET of <see cref="GroupControl"/>.</summary>
    public const ulong ItsReset = 4;

    /// <summary>KVM_DEV_ARM_VGIC_GRP_REDIST_REGS: a redistributor's registers, by the vCPU's affinity 63:32 and offset 31:0.</summary>
    public const uint GroupRedistributors = 5;

    /// <summary>KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS: a vCPU's interface to the controller, by its affinity 63:32 and the register's encoding 15:0.</summary>
    public const uint GroupProcessorInterface = 6;

    /// <summary>KVM_ARM_VCPU_PMU_V3_CTRL, a group of a vCPU: its performance counters.</summary>
    public const uint GroupPmu = 0;

    /// <summary>KVM_ARM_VCPU_PMU_V3_IRQ of <see cref="GroupPmu"/>: INTID of the overflow.</summary>
    public const ulong PmuInterrupt = 0;

    /// <summary>KVM_ARM_VCPU_PMU_V3_INIT of <see cref="GroupPmu"/>.</summary>
    public const ulong PmuInitialize = 1;

    /// <summary>KVM_ARM_VCPU_POWER_OFF: the vCPU waits for another's CPU_ON.</summary>
    public const int FeaturePowerOff = 0;

    /// <summary>KVM_ARM_VCPU_PSCI_0_2: PSCI 0.2 or later.</summary>
    public const int FeaturePsci = 2;

    /// <summary>KVM_ARM_VCPU_PMU_V3.</summary>
    public const int FeaturePmu = 3;

    /// <summary>KVM_ARM_VCPU_SVE.</summary>
    public const int FeatureSve = 4;

    /// <summary>KVM_ARM_VCPU_PTRAUTH_ADDRESS; with the next one or not at all.</summary>
    public const int FeaturePointerAuthenticationAddress = 5;

    /// <summary>KVM_ARM_VCPU_PTRAUTH_GENERIC.</summary>
    public const int FeaturePointerAuthenticationGeneric = 6;

    /// <summary>KVM_ARM_IRQ_TYPE_SPI, in 31:24 of KVM_IRQ_LINE's number; the INTID is in 15:0.</summary>
    public const uint SharedLine = 1u << 24;

    /// <summary>KVM_MSI_VALID_DEVID: a message carries who sends it.</summary>
    public const uint MessageHasDeviceId = 1;

    /// <summary>X0: KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE, then the offset in struct kvm_regs in words of 32 bits.</summary>
    public const ulong X0 = 0x6030_0000_0010_0000;

    /// <summary>PC.</summary>
    public const ulong ProgramCounter = 0x6030_0000_0010_0040;

    /// <summary>PSTATE.</summary>
    public const ulong ProcessorState = 0x6030_0000_0010_0042;

    /// <summary>MPIDR_EL1.</summary>
    public const ulong Affinity = 0x6030_0000_0013_C005;

    /// <summary>KVM_REG_ARM_PSCI_VERSION: major 31:16, minor 15:0.</summary>
    public const ulong PsciVersion = 0x6030_0000_0014_0000;

    /// <summary>General register <paramref name="number"/>, 0 to 30.</summary>
    public static ulong X(int number) => X0 + (ulong)(2 * number);
}

/// <summary>struct kvm_vcpu_init: feature n is bit n of the first word; the kernel knows of six further ones.</summary>
[StructLayout(LayoutKind.Explicit, Size = 32)]
internal struct KvmVcpuInit
{
    [FieldOffset(0)]
    public uint Target;
    [FieldOffset(4)]
    public uint Features;
}

/// <summary>struct kvm_one_reg.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct KvmOneRegister
{
    public ulong Id;
    public ulong Address;
}

/// <summary>struct kvm_enable_cap.</summary>
[StructLayout(LayoutKind.Explicit, Size = 104)]
internal struct KvmEnableCapability
{
    [FieldOffset(0)]
    public uint Capability;
    [FieldOffset(4)]
    public uint Flags;
}
