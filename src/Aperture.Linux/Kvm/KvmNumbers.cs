namespace Aperture.Linux.Kvm;

/// <summary>Optional parts of KVM, by the numbers of KVM_CHECK_EXTENSION (KVM API 4.4, linux/kvm.h).</summary>
public enum KvmCapability
{
    /// <summary>KVM_CAP_IRQCHIP: in-kernel PICs, I/O APIC and local APICs.</summary>
    Irqchip = 0,

    /// <summary>KVM_CAP_USER_MEMORY: memory slots backed by this process.</summary>
    UserMemory = 3,

    /// <summary>KVM_CAP_SET_TSS_ADDR.</summary>
    SetTssAddress = 4,

    /// <summary>KVM_CAP_EXT_CPUID: CPUID with subleaves.</summary>
    ExtendedCpuid = 7,

    /// <summary>KVM_CAP_NR_VCPUS: the recommended number of vCPUs.</summary>
    RecommendedVcpus = 9,

    /// <summary>KVM_CAP_NR_MEMSLOTS: the number of memory slots.</summary>
    MemorySlots = 10,

    /// <summary>KVM_CAP_MP_STATE.</summary>
    MpState = 14,

    /// <summary>KVM_CAP_DESTROY_MEMORY_REGION_WORKS: slots can be deleted.</summary>
    DeleteMemorySlot = 21,

    /// <summary>KVM_CAP_IRQ_ROUTING: the number of routes.</summary>
    IrqRouting = 25,

    /// <summary>KVM_CAP_IRQFD.</summary>
    Irqfd = 32,

    /// <summary>KVM_CAP_PIT2.</summary>
    Pit2 = 33,

    /// <summary>KVM_CAP_PIT_STATE2.</summary>
    PitState2 = 35,

    /// <summary>KVM_CAP_IOEVENTFD.</summary>
    IoEventFd = 36,

    /// <summary>KVM_CAP_COALESCED_MMIO: the page of a vCPU's mapping that holds the ring of collected writes.</summary>
    CoalescedMmio = 15,

    /// <summary>KVM_CAP_SET_IDENTITY_MAP_ADDR.</summary>
    SetIdentityMapAddress = 37,

    /// <summary>KVM_CAP_VCPU_EVENTS.</summary>
    VcpuEvents = 41,

    /// <summary>KVM_CAP_DEBUGREGS.</summary>
    DebugRegisters = 50,

    /// <summary>KVM_CAP_XSAVE.</summary>
    Xsave = 55,

    /// <summary>KVM_CAP_XCRS.</summary>
    Xcrs = 56,

    /// <summary>KVM_CAP_MAX_VCPUS: the most vCPUs of one VM.</summary>
    MaximumVcpus = 66,

    /// <summary>KVM_CAP_TSC_DEADLINE_TIMER.</summary>
    TscDeadlineTimer = 72,

    /// <summary>KVM_CAP_ONE_REG: registers by number.</summary>
    OneRegister = 70,

    /// <summary>KVM_CAP_SIGNAL_MSI.</summary>
    SignalMsi = 77,

    /// <summary>KVM_CAP_READONLY_MEM.</summary>
    ReadOnlyMemory = 81,

    /// <summary>KVM_CAP_IRQFD_RESAMPLE.</summary>
    IrqfdResample = 82,

    /// <summary>KVM_CAP_DEVICE_CTRL: devices made in the kernel by KVM_CREATE_DEVICE.</summary>
    Devices = 89,

    /// <summary>KVM_CAP_ARM_PSCI_0_2: the kernel answers PSCI 0.2 or later.</summary>
    Psci = 102,

    /// <summary>KVM_CAP_X86_SMM: vCPUs have system management mode.</summary>
    ManagementMode = 117,

    /// <summary>KVM_CAP_MULTI_ADDRESS_SPACE: the number of tables of memory slots; 1 is the table that system management mode sees.</summary>
    AddressSpaces = 118,

    /// <summary>KVM_CAP_ARM_PMU_V3: vCPUs may have performance counters.</summary>
    PmuV3 = 126,

    /// <summary>KVM_CAP_MSI_DEVID: messages carry who sends them; on a VM only once it has a translation service.</summary>
    MessageDeviceId = 131,

    /// <summary>KVM_CAP_IMMEDIATE_EXIT.</summary>
    ImmediateExit = 136,

    /// <summary>KVM_CAP_NESTED_STATE: the most bytes that the state of a guest's own hypervisor takes.</summary>
    NestedState = 157,

    /// <summary>KVM_CAP_ARM_VM_IPA_SIZE: the most bits of a guest's physical addresses.</summary>
    GuestAddressBits = 165,

    /// <summary>KVM_CAP_ARM_SVE.</summary>
    Sve = 170,

    /// <summary>KVM_CAP_ARM_PTRAUTH_ADDRESS.</summary>
    PointerAuthenticationAddress = 171,

    /// <summary>KVM_CAP_ARM_PTRAUTH_GENERIC.</summary>
    PointerAuthenticationGeneric = 172,

    /// <summary>KVM_CAP_ARM_NISV_TO_USER: accesses that the processor does not decode leave the guest instead of failing KVM_RUN.</summary>
    UndecodedAccesses = 177,

    /// <summary>KVM_CAP_XSAVE2: bytes of a vCPU's extended state.</summary>
    Xsave2 = 208,
}

/// <summary>Why KVM_RUN returned (KVM API 5, linux/kvm.h).</summary>
public enum KvmExitReason : uint
{
    /// <summary>KVM_EXIT_UNKNOWN.</summary>
    Unknown = 0,

    /// <summary>KVM_EXIT_EXCEPTION.</summary>
    Exception = 1,

    /// <summary>KVM_EXIT_IO: a port access.</summary>
    Io = 2,

    /// <summary>KVM_EXIT_HYPERCALL.</summary>
    Hypercall = 3,

    /// <summary>KVM_EXIT_DEBUG.</summary>
    Debug = 4,

    /// <summary>KVM_EXIT_HLT: HLT without an in-kernel interrupt controller.</summary>
    Halt = 5,

    /// <summary>KVM_EXIT_MMIO: an access to memory that no slot backs, or a write to a read-only one.</summary>
    Mmio = 6,

    /// <summary>KVM_EXIT_IRQ_WINDOW_OPEN.</summary>
    IrqWindowOpen = 7,

    /// <summary>KVM_EXIT_SHUTDOWN: a triple fault.</summary>
    Shutdown = 8,

    /// <summary>KVM_EXIT_FAIL_ENTRY: the processor refused the guest's state.</summary>
    FailEntry = 9,

    /// <summary>KVM_EXIT_INTR: a signal.</summary>
    Interrupted = 10,

    /// <summary>KVM_EXIT_SET_TPR.</summary>
    SetTpr = 11,

    /// <summary>KVM_EXIT_INTERNAL_ERROR.</summary>
    InternalError = 17,

    /// <summary>KVM_EXIT_SYSTEM_EVENT.</summary>
    SystemEvent = 24,

    /// <summary>KVM_EXIT_ARM_NISV: an access to a device that the processor does not decode.</summary>
    UndecodedAccess = 28,

    /// <summary>KVM_EXIT_X86_BUS_LOCK.</summary>
    BusLock = 33,

    /// <summary>KVM_EXIT_NOTIFY.</summary>
    Notify = 37,

    /// <summary>KVM_EXIT_MEMORY_FAULT (Linux 6.8).</summary>
    MemoryFault = 39,
}

/// <summary>Byte offsets in the page that a vCPU shares with this process: struct kvm_run.</summary>
public static class KvmRunLayout
{
    /// <summary>KVM_RUN_X86_SMM, in <see cref="Flags"/>: the vCPU left the guest in system management mode.</summary>
    public const ushort InManagementMode = 1;

    /// <summary>u8: a non-zero value makes KVM_RUN return at once.</summary>
    public const int ImmediateExit = 1;

    /// <summary>u32: <see cref="KvmExitReason"/>.</summary>
    public const int ExitReason = 8;

    /// <summary>u16: KVM_RUN_X86_*.</summary>
    public const int Flags = 14;

    /// <summary>The union of the exits' details.</summary>
    public const int Details = 32;

    /// <summary>u8: 0 in, 1 out.</summary>
    public const int IoDirection = 32;

    /// <summary>u8: 1, 2 or 4 bytes a unit.</summary>
    public const int IoSize = 33;

    /// <summary>u16.</summary>
    public const int IoPort = 34;

    /// <summary>u32: units; more than 1 for string instructions.</summary>
    public const int IoCount = 36;

    /// <summary>u64: where the data is, from the page's start.</summary>
    public const int IoDataOffset = 40;

    /// <summary>u64: guest physical address.</summary>
    public const int MmioAddress = 32;

    /// <summary>8 bytes.</summary>
    public const int MmioData = 40;

    /// <summary>u32: 1 to 8 bytes.</summary>
    public const int MmioLength = 48;

    /// <summary>u8: 1 for a write.</summary>
    public const int MmioIsWrite = 52;

    /// <summary>u64: the processor's own reason.</summary>
    public const int FailEntryReason = 32;

    /// <summary>u32: KVM_INTERNAL_ERROR_*.</summary>
    public const int InternalSuberror = 32;

    /// <summary>u32: valid words of data.</summary>
    public const int InternalDataCount = 36;

    /// <summary>u64[16].</summary>
    public const int InternalData = 40;

    /// <summary>u64, emulation failures: bit 0 says that instruction bytes follow.</summary>
    public const int EmulationFlags = 40;

    /// <summary>u8.</summary>
    public const int EmulationInstructionSize = 48;

    /// <summary>15 bytes.</summary>
    public const int EmulationInstructionBytes = 49;

    /// <summary>u32: KVM_SYSTEM_EVENT_*.</summary>
    public const int SystemEventType = 32;

    /// <summary>u64, <see cref="KvmExitReason.UndecodedAccess"/>: the syndrome's low half (ESR_EL2.ISS).</summary>
    public const int UndecodedSyndrome = 32;

    /// <summary>u64: the guest address.</summary>
    public const int UndecodedAddress = 40;

    /// <summary>u64, unknown exits: the processor's own reason.</summary>
    public const int HardwareReason = 32;
}
