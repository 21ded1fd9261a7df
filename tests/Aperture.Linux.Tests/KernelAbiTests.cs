using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Aperture.Linux.Kvm;
using Aperture.Linux.Net;

namespace Aperture.Linux.Tests;

public partial class KernelAbiTests
{
    // Our structure, the kernel's, and our fields with the kernel's names for them.
    private static readonly (Type Ours, string Theirs, string[] Fields)[] Structures =
    [
        (typeof(KvmMemoryRegion), "struct kvm_userspace_memory_region", [
            "Slot=slot", "Flags=flags", "GuestPhysicalAddress=guest_phys_addr", "MemorySize=memory_size", "UserspaceAddress=userspace_addr"]),
        (typeof(KvmCoalescedZone), "struct kvm_coalesced_mmio_zone", ["Address=addr", "Size=size", "IsPort=pio"]),
        (typeof(KvmIrqLevel), "struct kvm_irq_level", ["Irq=irq", "Level=level"]),
        (typeof(KvmMsi), "struct kvm_msi", ["AddressLow=address_lo", "AddressHigh=address_hi", "Data=data", "Flags=flags", "DeviceId=devid"]),
        (typeof(KvmIrqfd), "struct kvm_irqfd", ["Descriptor=fd", "Gsi=gsi", "Flags=flags", "ResampleDescriptor=resamplefd"]),
        (typeof(KvmIoEventFd), "struct kvm_ioeventfd", ["DataMatch=datamatch", "Address=addr", "Length=len", "Descriptor=fd", "Flags=flags"]),
        (typeof(KvmIrqRoutingEntry), "struct kvm_irq_routing_entry",
        [
            "Gsi=gsi", "Type=type", "Flags=flags", "Irqchip=u.irqchip.irqchip", "Pin=u.irqchip.pin", "MsiAddressLow=u.msi.address_lo",
            "MsiAddressHigh=u.msi.address_hi", "MsiData=u.msi.data", "MsiDeviceId=u.msi.devid",
        ]),
        (typeof(KvmPitConfig), "struct kvm_pit_config", ["Flags=flags"]),
        (typeof(KvmCreateDevice), "struct kvm_create_device", ["Type=type", "Descriptor=fd", "Flags=flags"]),
        (typeof(KvmOneRegister), "struct kvm_one_reg", ["Id=id", "Address=addr"]),
        (typeof(KvmEnableCapability), "struct kvm_enable_cap", ["Capability=cap", "Flags=flags"]),
        (typeof(KvmDeviceAttribute), "struct kvm_device_attr", ["Flags=flags", "Group=group", "Attribute=attr", "Address=addr"]),
        (typeof(ResourceLimit.Limit), "struct rlimit", ["Current=rlim_cur", "Most=rlim_max"]),
        (typeof(KvmCpuidEntry), "struct kvm_cpuid_entry2", ["Function=function", "Index=index", "Flags=flags", "Eax=eax", "Ebx=ebx", "Ecx=ecx", "Edx=edx"]),
        (typeof(KvmMsrEntry), "struct kvm_msr_entry", ["Index=index", "Data=data"]),
        (typeof(KvmRegisters), "struct kvm_regs",
        [
            "Rax=rax", "Rbx=rbx", "Rcx=rcx", "Rdx=rdx", "Rsi=rsi", "Rdi=rdi", "Rsp=rsp", "Rbp=rbp", "R8=r8", "R9=r9", "R10=r10", "R11=r11",
            "R12=r12", "R13=r13", "R14=r14", "R15=r15", "Rip=rip", "Rflags=rflags",
        ]),
        (typeof(KvmSegment), "struct kvm_segment",
        [
            "Base=base", "Limit=limit", "Selector=selector", "Type=type", "Present=present", "Dpl=dpl", "Db=db", "S=s", "L=l", "G=g", "Avl=avl",
            "Unusable=unusable",
        ]),
        (typeof(KvmDescriptorTable), "struct kvm_dtable", ["Base=base", "Limit=limit"]),
        (typeof(KvmSpecialRegisters), "struct kvm_sregs",
        [
            "Cs=cs", "Ds=ds", "Es=es", "Fs=fs", "Gs=gs", "Ss=ss", "Tr=tr", "Ldt=ldt", "Gdt=gdt", "Idt=idt", "Cr0=cr0", "Cr2=cr2", "Cr3=cr3", "Cr4=cr4",
            "Cr8=cr8", "Efer=efer", "ApicBase=apic_base", "InterruptBitmap0=interrupt_bitmap[0]", "InterruptBitmap1=interrupt_bitmap[1]",
            "InterruptBitmap2=interrupt_bitmap[2]", "InterruptBitmap3=interrupt_bitmap[3]",
        ]),
        (typeof(PollItem), "struct pollfd", ["_descriptor=fd", "_asked=events", "_seen=revents"]),
        (typeof(Terminal.Termios), "struct termios", ["InputFlags=c_iflag", "OutputFlags=c_oflag", "ControlFlags=c_cflag", "LocalFlags=c_lflag"]),
        (typeof(Terminal.WindowSize), "struct winsize", ["Rows=ws_row", "Columns=ws_col", "WidthPixels=ws_xpixel", "HeightPixels=ws_ypixel"]),
        (typeof(SocketMessages.Message), "struct msghdr",
        [
            "Name=msg_name", "NameLength=msg_namelen", "Vectors=msg_iov", "Count=msg_iovlen", "Control=msg_control", "ControlLength=msg_controllen",
            "Flags=msg_flags",
        ]),
        (typeof(SocketMessages.Vector), "struct iovec", ["<Start>k__BackingField=iov_base", "<Length>k__BackingField=iov_len"]),
        (typeof(SocketMessages.ControlHeader), "struct cmsghdr",
            ["<Length>k__BackingField=cmsg_len", "<Level>k__BackingField=cmsg_level", "<Type>k__BackingField=cmsg_type"]),
        (typeof(Signals.SignalSet), "sigset_t", []),
        (typeof(Signals.TimeSpec), "struct timespec", ["Seconds=tv_sec", "Nanoseconds=tv_nsec"]),
    ];

    private static readonly (string Expression, long Ours)[] Sizes =
    [
        ("sizeof(struct kvm_fpu)", KvmStateSize.Fpu),
        ("sizeof(struct kvm_lapic_state)", KvmStateSize.Lapic),
        ("sizeof(struct kvm_xcrs)", KvmStateSize.Xcrs),
        ("sizeof(struct kvm_xsave)", KvmStateSize.Xsave),
        ("sizeof(struct kvm_nested_state)", KvmStateSize.NestedState),
        ("sizeof(struct kvm_debugregs)", KvmStateSize.DebugRegisters),
        ("sizeof(struct kvm_vcpu_events)", KvmStateSize.VcpuEvents),
        ("sizeof(struct kvm_irqchip)", KvmStateSize.Irqchip),
        ("sizeof(struct kvm_pit_state2)", KvmStateSize.Pit),

        // Headers before the entries that a count announces, written by hand in the wrappers.
        ("offsetof(struct kvm_cpuid2, entries)", 8),
        ("offsetof(struct kvm_irq_routing, entries)", 8),
        ("offsetof(struct kvm_msr_list, indices)", 4),
        ("offsetof(struct kvm_signal_mask, sigset)", 4),
        ("offsetof(struct kvm_msrs, entries)", 8),
    ];

    private static readonly (string Field, int Ours)[] RunPage =
    [
        ("immediate_exit", KvmRunLayout.ImmediateExit),
        ("exit_reason", KvmRunLayout.ExitReason),
        ("flags", KvmRunLayout.Flags),
        ("io.direction", KvmRunLayout.IoDirection),
        ("io.size", KvmRunLayout.IoSize),
        ("io.port", KvmRunLayout.IoPort),
        ("io.count", KvmRunLayout.IoCount),
        ("io.data_offset", KvmRunLayout.IoDataOffset),
        ("mmio.phys_addr", KvmRunLayout.MmioAddress),
        ("mmio.data", KvmRunLayout.MmioData),
        ("mmio.len", KvmRunLayout.MmioLength),
        ("mmio.is_write", KvmRunLayout.MmioIsWrite),
        ("fail_entry.hardware_entry_failure_reason", KvmRunLayout.FailEntryReason),
        ("internal.suberror", KvmRunLayout.InternalSuberror),
        ("internal.ndata", KvmRunLayout.InternalDataCount),
        ("internal.data", KvmRunLayout.InternalData),
        ("emulation_failure.flags", KvmRunLayout.EmulationFlags),
        ("emulation_failure.insn_size", KvmRunLayout.EmulationInstructionSize),
        ("emulation_failure.insn_bytes", KvmRunLayout.EmulationInstructionBytes),
        ("system_event.type", KvmRunLayout.SystemEventType),
        ("arm_nisv.esr_iss", KvmRunLayout.UndecodedSyndrome),
        ("arm_nisv.fault_ipa", KvmRunLayout.UndecodedAddress),
        ("hw.hardware_exit_reason", KvmRunLayout.HardwareReason),
        ("padding", KvmRunLayout.Details),
    ];

    private static readonly (string Name, long Ours)[] Numbers =
    [
        ("KVM_GET_API_VERSION", (long)KvmRequest.GetApiVersion), ("KVM_CREATE_VM", (long)KvmRequest.CreateVm),
        ("KVM_GET_MSR_INDEX_LIST", (long)KvmRequest.GetMsrIndexList), ("KVM_CHECK_EXTENSION", (long)KvmRequest.CheckExtension),
        ("KVM_GET_VCPU_MMAP_SIZE", (long)KvmRequest.GetVcpuMmapSize), ("KVM_GET_SUPPORTED_CPUID", (long)KvmRequest.GetSupportedCpuid),
        ("KVM_CREATE_VCPU", (long)KvmRequest.CreateVcpu), ("KVM_SET_USER_MEMORY_REGION", (long)KvmRequest.SetUserMemoryRegion),
        ("KVM_SET_TSS_ADDR", (long)KvmRequest.SetTssAddress), ("KVM_SET_IDENTITY_MAP_ADDR", (long)KvmRequest.SetIdentityMapAddress),
        ("KVM_CREATE_IRQCHIP", (long)KvmRequest.CreateIrqchip), ("KVM_IRQ_LINE", (long)KvmRequest.IrqLine),
        ("KVM_GET_IRQCHIP", (long)KvmRequest.GetIrqchip), ("KVM_SET_IRQCHIP", (long)KvmRequest.SetIrqchip),
        ("KVM_SET_GSI_ROUTING", (long)KvmRequest.SetGsiRouting), ("KVM_IRQFD", (long)KvmRequest.Irqfd),
        ("KVM_REINJECT_CONTROL", (long)KvmRequest.ReinjectControl),
        ("KVM_CREATE_PIT2", (long)KvmRequest.CreatePit2), ("KVM_IOEVENTFD", (long)KvmRequest.IoEventFd),
        ("KVM_GET_PIT2", (long)KvmRequest.GetPit2), ("KVM_SET_PIT2", (long)KvmRequest.SetPit2), ("KVM_SIGNAL_MSI", (long)KvmRequest.SignalMsi),
        ("KVM_CREATE_DEVICE", (long)KvmRequest.CreateDevice), ("KVM_HAS_DEVICE_ATTR", (long)KvmRequest.HasDeviceAttribute),
        ("KVM_GET_ONE_REG", (long)KvmRequest.GetOneRegister), ("KVM_SET_ONE_REG", (long)KvmRequest.SetOneRegister),
        ("KVM_ENABLE_CAP", (long)KvmRequest.EnableCapability), ("KVM_MSI_VALID_DEVID", KvmArm64.MessageHasDeviceId),
        ("KVM_CAP_ONE_REG", (long)KvmCapability.OneRegister), ("KVM_CAP_DEVICE_CTRL", (long)KvmCapability.Devices),
        ("KVM_CAP_ARM_PSCI_0_2", (long)KvmCapability.Psci), ("KVM_CAP_ARM_PMU_V3", (long)KvmCapability.PmuV3),
        ("KVM_CAP_MSI_DEVID", (long)KvmCapability.MessageDeviceId), ("KVM_CAP_ARM_VM_IPA_SIZE", (long)KvmCapability.GuestAddressBits),
        ("KVM_CAP_ARM_SVE", (long)KvmCapability.Sve), ("KVM_CAP_ARM_PTRAUTH_ADDRESS", (long)KvmCapability.PointerAuthenticationAddress),
        ("KVM_CAP_ARM_PTRAUTH_GENERIC", (long)KvmCapability.PointerAuthenticationGeneric),
        ("KVM_CAP_ARM_NISV_TO_USER", (long)KvmCapability.UndecodedAccesses), ("KVM_EXIT_ARM_NISV", (long)KvmExitReason.UndecodedAccess),
        ("KVM_DEV_TYPE_ARM_VGIC_V3", KvmArm64.VgicV3), ("KVM_DEV_TYPE_ARM_VGIC_ITS", KvmArm64.VgicIts),
        ("KVM_SET_DEVICE_ATTR", (long)KvmRequest.SetDeviceAttribute),
        ("KVM_DEV_TYPE_VFIO", KvmIoctl.DeviceTypeVfio), ("KVM_DEV_VFIO_GROUP", KvmIoctl.VfioFile),
        ("KVM_DEV_VFIO_GROUP_ADD", (long)KvmIoctl.VfioFileAdd), ("KVM_DEV_VFIO_GROUP_DEL", (long)KvmIoctl.VfioFileRemove),
        ("KVM_RUN", (long)KvmRequest.Run), ("KVM_GET_REGS", (long)KvmRequest.GetRegisters), ("KVM_SET_REGS", (long)KvmRequest.SetRegisters),
        ("KVM_GET_SREGS", (long)KvmRequest.GetSpecialRegisters), ("KVM_SET_SREGS", (long)KvmRequest.SetSpecialRegisters),
        ("KVM_GET_MSRS", (long)KvmRequest.GetMsrs), ("KVM_SET_MSRS", (long)KvmRequest.SetMsrs), ("KVM_SET_SIGNAL_MASK", (long)KvmRequest.SetSignalMask),
        ("KVM_GET_FPU", (long)KvmRequest.GetFpu), ("KVM_SET_FPU", (long)KvmRequest.SetFpu), ("KVM_GET_LAPIC", (long)KvmRequest.GetLapic),
        ("KVM_SET_LAPIC", (long)KvmRequest.SetLapic), ("KVM_SET_CPUID2", (long)KvmRequest.SetCpuid2), ("KVM_GET_MP_STATE", (long)KvmRequest.GetMpState),
        ("KVM_SET_MP_STATE", (long)KvmRequest.SetMpState), ("KVM_GET_VCPU_EVENTS", (long)KvmRequest.GetVcpuEvents),
        ("KVM_SET_VCPU_EVENTS", (long)KvmRequest.SetVcpuEvents), ("KVM_GET_DEBUGREGS", (long)KvmRequest.GetDebugRegisters),
        ("KVM_SET_DEBUGREGS", (long)KvmRequest.SetDebugRegisters), ("KVM_GET_XCRS", (long)KvmRequest.GetXcrs), ("KVM_SET_XCRS", (long)KvmRequest.SetXcrs),
        ("KVM_GET_XSAVE", (long)KvmRequest.GetXsave), ("KVM_SET_XSAVE", (long)KvmRequest.SetXsave), ("KVM_GET_XSAVE2", (long)KvmRequest.GetXsave2),
        ("KVM_GET_NESTED_STATE", (long)KvmRequest.GetNestedState), ("KVM_SET_NESTED_STATE", (long)KvmRequest.SetNestedState),
        ("KVM_CAP_XSAVE", (long)KvmCapability.Xsave), ("KVM_CAP_XSAVE2", (long)KvmCapability.Xsave2),
        ("KVM_CAP_NESTED_STATE", (long)KvmCapability.NestedState),
        ("KVM_REGISTER_COALESCED_MMIO", (long)KvmRequest.CollectMmio), ("KVM_UNREGISTER_COALESCED_MMIO", (long)KvmRequest.StopCollectingMmio),
        ("KVM_CAP_COALESCED_MMIO", (long)KvmCapability.CoalescedMmio),
        ("KVM_GET_STATS_FD", (long)KvmRequest.GetStatisticsFile),
        ("KVM_CAP_IRQCHIP", (long)KvmCapability.Irqchip), ("KVM_CAP_USER_MEMORY", (long)KvmCapability.UserMemory),
        ("KVM_CAP_SET_TSS_ADDR", (long)KvmCapability.SetTssAddress), ("KVM_CAP_EXT_CPUID", (long)KvmCapability.ExtendedCpuid),
        ("KVM_CAP_NR_VCPUS", (long)KvmCapability.RecommendedVcpus), ("KVM_CAP_NR_MEMSLOTS", (long)KvmCapability.MemorySlots),
        ("KVM_CAP_MP_STATE", (long)KvmCapability.MpState), ("KVM_CAP_DESTROY_MEMORY_REGION_WORKS", (long)KvmCapability.DeleteMemorySlot),
        ("KVM_CAP_IRQ_ROUTING", (long)KvmCapability.IrqRouting), ("KVM_CAP_IRQFD", (long)KvmCapability.Irqfd), ("KVM_CAP_PIT2", (long)KvmCapability.Pit2),
        ("KVM_CAP_PIT_STATE2", (long)KvmCapability.PitState2), ("KVM_CAP_IOEVENTFD", (long)KvmCapability.IoEventFd),
        ("KVM_CAP_SET_IDENTITY_MAP_ADDR", (long)KvmCapability.SetIdentityMapAddress), ("KVM_CAP_VCPU_EVENTS", (long)KvmCapability.VcpuEvents),
        ("KVM_CAP_DEBUGREGS", (long)KvmCapability.DebugRegisters), ("KVM_CAP_XCRS", (long)KvmCapability.Xcrs),
        ("KVM_CAP_MAX_VCPUS", (long)KvmCapability.MaximumVcpus), ("KVM_CAP_TSC_DEADLINE_TIMER", (long)KvmCapability.TscDeadlineTimer),
        ("KVM_CAP_SIGNAL_MSI", (long)KvmCapability.SignalMsi), ("KVM_CAP_READONLY_MEM", (long)KvmCapability.ReadOnlyMemory),
        ("KVM_SMI", (long)KvmRequest.RaiseSmi), ("KVM_CAP_X86_SMM", (long)KvmCapability.ManagementMode),
        ("KVM_CAP_MULTI_ADDRESS_SPACE", (long)KvmCapability.AddressSpaces), ("KVM_RUN_X86_SMM", KvmRunLayout.InManagementMode),
        ("KVM_CAP_IRQFD_RESAMPLE", (long)KvmCapability.IrqfdResample), ("KVM_CAP_IMMEDIATE_EXIT", (long)KvmCapability.ImmediateExit),
        ("KVM_EXIT_UNKNOWN", (long)KvmExitReason.Unknown), ("KVM_EXIT_EXCEPTION", (long)KvmExitReason.Exception), ("KVM_EXIT_IO", (long)KvmExitReason.Io),
        ("KVM_EXIT_HYPERCALL", (long)KvmExitReason.Hypercall), ("KVM_EXIT_DEBUG", (long)KvmExitReason.Debug), ("KVM_EXIT_HLT", (long)KvmExitReason.Halt),
        ("KVM_EXIT_MMIO", (long)KvmExitReason.Mmio), ("KVM_EXIT_IRQ_WINDOW_OPEN", (long)KvmExitReason.IrqWindowOpen),
        ("KVM_EXIT_SHUTDOWN", (long)KvmExitReason.Shutdown), ("KVM_EXIT_FAIL_ENTRY", (long)KvmExitReason.FailEntry),
        ("KVM_EXIT_INTR", (long)KvmExitReason.Interrupted), ("KVM_EXIT_SET_TPR", (long)KvmExitReason.SetTpr),
        ("KVM_EXIT_INTERNAL_ERROR", (long)KvmExitReason.InternalError), ("KVM_EXIT_SYSTEM_EVENT", (long)KvmExitReason.SystemEvent),
        ("KVM_EXIT_X86_BUS_LOCK", (long)KvmExitReason.BusLock), ("KVM_EXIT_NOTIFY", (long)KvmExitReason.Notify),
        ("O_WRONLY", (long)OpenFlags.WriteOnly), ("O_RDWR", (long)OpenFlags.ReadWrite), ("O_NONBLOCK", (long)OpenFlags.NonBlocking),
        ("POLLIN", (long)PollEvents.Readable), ("POLLOUT", (long)PollEvents.Writable), ("POLLERR", (long)PollEvents.Error),
        ("AF_UNIX", UnixSocket.Family), ("SOCK_STREAM", UnixSocket.Stream), ("SOCK_CLOEXEC", UnixSocket.CloseOnExec),
        ("SOL_SOCKET", UnixSocket.SocketLevel), ("SO_RCVTIMEO", UnixSocket.ReceiveTimeout), ("SO_SNDTIMEO", UnixSocket.SendTimeout),
        ("SO_ACCEPTCONN", UnixSocket.AcceptsConnections), ("SHUT_RDWR", UnixSocket.ShutdownBoth), ("SOL_SOCKET", SocketMessages.SocketLevel),
        ("SCM_RIGHTS", SocketMessages.Rights), ("MSG_NOSIGNAL", SocketMessages.NoSignal), ("MSG_CTRUNC", SocketMessages.ControlTruncated),
        ("MSG_CMSG_CLOEXEC", SocketMessages.CloseOnExec), ("sizeof(((struct sockaddr_un *)0)->sun_path)", UnixSocket.PathRoom),
        ("MFD_CLOEXEC", MemoryFile.CloseOnExec), ("MFD_ALLOW_SEALING", MemoryFile.AllowSealing), ("MFD_HUGETLB", MemoryFile.HugeTlb),
        ("MFD_HUGE_SHIFT", MemoryFile.HugeShift), ("F_ADD_SEALS", MemoryFile.AddSeals), ("F_GET_SEALS", MemoryFile.GetSeals),
        ("F_SEAL_SEAL", MemoryFile.SealSeal), ("F_SEAL_SHRINK", MemoryFile.SealShrink), ("F_SEAL_GROW", MemoryFile.SealGrow),
        ("F_GETFL", MemoryFile.GetFlags), ("F_SETFL", MemoryFile.SetFlags), ("O_NONBLOCK", MemoryFile.NonBlock), ("AT_EMPTY_PATH", MemoryFile.EmptyPath),
        ("STATX_TYPE", MemoryFile.StatxType), ("STATX_SIZE", MemoryFile.StatxSize), ("sizeof(struct statx)", MemoryFile.StatxLength),
        ("S_IFMT", MemoryFile.TypeMask), ("S_IFREG", MemoryFile.RegularFile), ("offsetof(struct statx, stx_mode)", 28),
        ("offsetof(struct statx, stx_size)", 40), ("MADV_REMOVE", (long)MemoryAdvice.Remove),
        ("POLLHUP", (long)PollEvents.HangUp), ("POLLNVAL", (long)PollEvents.Invalid),
    ];

    [Fact]
    public void Structures_have_the_sizes_and_field_offsets_of_the_kernels_headers()
    {
        RequireX86Compiler();
        AssertAll([.. Sizes, .. Structures.SelectMany(Expressions), .. RunPageExpressions]);
    }

    [Fact]
    public void Every_public_field_is_compared_with_the_kernels()
    {
        foreach ((Type ours, _, string[] fields) in Structures.Append(Arm64VcpuInit))
        {
            IEnumerable<string> compared = fields.Select(field => field.Split('=')[0]);
            IEnumerable<string> ownFields = ours.GetFields(BindingFlags.Instance | BindingFlags.Public).Select(field => field.Name);
            Assert.Empty(ownFields.Except(compared).Except(["First", "Rest"]));
        }
    }

    [Fact]
    public void Numbers_are_those_of_the_kernels_headers()
    {
        RequireX86Compiler();
        AssertAll(Numbers);
        Assert.Empty(Enum.GetValues<KvmRequest>().Select(request => (long)request).Except(Numbers.Concat(Arm64Numbers).Select(number => number.Ours)));
    }

    [Fact]
    public void Error_names_are_those_of_the_C_library()
    {
        Assert.SkipUnless(CProbe.HasCompiler, "needs gcc and the kernel's headers (packages gcc and linux-libc-dev)");
        string[] names = [.. Enumerable.Range(1, 133).Select(Errno.Name).Where(name => name.StartsWith('E'))];
        IReadOnlyDictionary<string, ulong> values = CProbe.Evaluate(names);
        Assert.All(names, name => Assert.Equal(name, Errno.Name((int)values[name])));
        Assert.All(typeof(Errno).GetFields().Where(field => field.IsLiteral), field => Assert.Equal(field.Name, Errno.Name((int)field.GetRawConstantValue()!)));
    }

    [Fact]
    public void The_kick_signal_is_a_real_time_one_that_no_library_uses()
    {
        Assert.SkipUnless(CProbe.HasCompiler, "needs gcc and the kernel's headers (packages gcc and linux-libc-dev)");
        IReadOnlyDictionary<string, ulong> values = CProbe.Evaluate(["SIGRTMIN", "SIGRTMAX"]);
        Assert.InRange((ulong)Signals.VcpuKick, values["SIGRTMIN"] + 2, values["SIGRTMAX"] - 2);
    }

    private static IEnumerable<(string Expression, long Ours)> RunPageExpressions =>
        RunPage.Select(entry => ($"offsetof(struct kvm_run, {entry.Field})", (long)entry.Ours));

    private static void RequireX86Compiler()
    {
        Assert.SkipUnless(RuntimeInformation.ProcessArchitecture == Architecture.X64, "compares with the headers for x86-64");
        Assert.SkipUnless(CProbe.HasCompiler, "needs gcc and the kernel's headers (packages gcc and linux-libc-dev)");
    }

    private static IEnumerable<(string Expression, long Ours)> Expressions((Type Ours, string Theirs, string[] Fields) structure)
    {
        yield return ($"sizeof({structure.Theirs})", SizeOf(structure.Ours));
        foreach (string field in structure.Fields)
        {
            string[] names = field.Split('=');
            yield return ($"offsetof({structure.Theirs}, {names[1]})", Marshal.OffsetOf(structure.Ours, names[0]));
            yield return ($"MEMBER_SIZE({structure.Theirs}, {names[1]})", SizeOf(FieldOf(structure.Ours, names[0]).FieldType));
        }
    }

    private static void AssertAll(IReadOnlyCollection<(string Expression, long Ours)> asked)
    {
        IReadOnlyDictionary<string, ulong> theirs = CProbe.Evaluate(asked.Select(entry => entry.Expression));
        Assert.Empty(asked.Where(entry => theirs[entry.Expression] != (ulong)entry.Ours)
            .Select(entry => $"{entry.Expression} is {theirs[entry.Expression]}, not {entry.Ours}"));
    }

    private static FieldInfo FieldOf(Type type, string name) => type.GetField(name, BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic)!;

    private static long SizeOf(Type type) =>
        type.IsEnum
            ? Marshal.SizeOf(Enum.GetUnderlyingType(type))
            : (int)typeof(Unsafe).GetMethod(nameof(Unsafe.SizeOf))!.MakeGenericMethod(type).Invoke(null, null)!;
}
