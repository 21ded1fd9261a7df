using Aperture.Firmware.Boot.X86;
using Aperture.Linux;
using Aperture.Linux.Kvm;

namespace Aperture.Kvm.X86;

/// <summary>The state in which the boot processor enters the guest. What it points at (page tables, GDT, code) is in guest memory already.</summary>
public sealed class BootState
{
    // CR0: PE, ET, NE, PG; CR4: PAE; EFER: LME, LMA (SDM 3A 2.5, 2.2.1).
    private const ulong ProtectedMode = 0x1;
    private const ulong ExtensionType = 0x10;
    private const ulong NumericError = 0x20;
    private const ulong Paging = 1UL << 31;
    private const ulong PhysicalAddressExtension = 0x20;
    private const ulong LongMode = 0x500;

    // IA32_MISC_ENABLE bit 0, fast strings; IA32_MTRR_DEF_TYPE: MTRRs on, write-back for all (SDM 4, SDM 3A 12.11.2.1).
    private const uint MiscEnable = 0x1A0;
    private const ulong FastStrings = 1;
    private const uint MtrrDefaultType = 0x2FF;
    private const ulong MtrrsOnWriteBack = 0x806;

    // The local vector table's LINT0 and LINT1 (SDM 3A 11.5.1): delivery modes ExtINT and NMI, unmasked.
    private const int Lint0 = 0x350;
    private const int Lint1 = 0x360;
    private const uint DeliverExternal = 0x700;
    private const uint DeliverNmi = 0x400;

    private readonly Func<KvmSpecialRegisters, KvmSpecialRegisters>? _special;
    private readonly KvmRegisters _registers;

    private BootState(string name, KvmRegisters registers, Func<KvmSpecialRegisters, KvmSpecialRegisters>? special)
    {
        Name = name;
        _registers = registers;
        _special = special;
    }

    /// <summary>What the state is called, for events.</summary>
    public string Name { get; }

    /// <summary>The processor's own reset state: real mode, first instruction at 0xFFFFFFF0 (SDM 3A 9.1.4). For firmware.</summary>
    public static BootState ResetVector() => new("reset vector", default, null);

    /// <summary>The Linux 64-bit boot protocol (Documentation/arch/x86/boot.rst): paging on, flat segments, interrupts off.</summary>
    /// <param name="entry">The kernel's 64-bit entry: where it was loaded + 0x200.</param>
    /// <param name="zeroPage">struct boot_params, to RSI.</param>
    /// <param name="pageTables">What <see cref="IdentityPageTables"/> wrote, to CR3.</param>
    /// <param name="gdt">What <see cref="BootGdt"/> wrote for 64-bit code.</param>
    public static BootState Linux64(GuestAddress entry, GuestAddress zeroPage, GuestAddress pageTables, GuestAddress gdt) => new(
        "Linux 64-bit boot protocol",
        new KvmRegisters { Rip = entry.Value, Rsi = zeroPage.Value, Rflags = 2 },
        reset => Flat(reset, gdt, longMode: true) with
        {
            Cr0 = ProtectedMode | ExtensionType | NumericError | Paging,
            Cr3 = pageTables.Value,
            Cr4 = PhysicalAddressExtension,
            Efer = LongMode,
        });

    /// <summary>The PVH start (xen/include/public/arch-x86/hvm/start_info.h): 32-bit protected mode, paging off, flat segments, interrupts off.</summary>
    /// <param name="entry">The address in ELF note 18 (XEN_ELFNOTE_PHYS32_ENTRY).</param>
    /// <param name="startInfo">struct hvm_start_info, to EBX.</param>
    /// <param name="gdt">What <see cref="BootGdt"/> wrote for 32-bit code; the guest may not rely on it.</param>
    public static BootState Pvh(GuestAddress entry, GuestAddress startInfo, GuestAddress gdt) => new(
        "PVH",
        new KvmRegisters { Rip = entry.Value, Rbx = startInfo.Value, Rflags = 2 },
        reset => Flat(reset, gdt, longMode: false) with { Cr0 = ProtectedMode | ExtensionType, Cr4 = 0, Efer = 0 });

    /// <summary>The special registers of this state, given those after a reset.</summary>
    public KvmSpecialRegisters SpecialFrom(KvmSpecialRegisters reset) => _special is null ? reset : _special(reset);

    /// <summary>The general registers of this state, given those after a reset.</summary>
    public KvmRegisters RegistersFrom(KvmRegisters reset) => _special is null ? reset : _registers;

    internal void Apply(SafeFileDescriptor vcpu, bool hasLapic)
    {
        if (_special is null)
        {
            return;
        }

        KvmIoctl.SetSpecialRegisters(vcpu, SpecialFrom(KvmIoctl.GetSpecialRegisters(vcpu)));
        KvmIoctl.SetRegisters(vcpu, _registers);

        // As firmware would have left them. Where KVM does not know a register the guest does not miss it.
        _ = KvmIoctl.TryGetMsr(vcpu, MiscEnable, out ulong misc) && KvmIoctl.TrySetMsr(vcpu, MiscEnable, misc | FastStrings);
        _ = KvmIoctl.TrySetMsr(vcpu, MtrrDefaultType, MtrrsOnWriteBack);
        if (hasLapic)
        {
            Span<byte> lapic = stackalloc byte[KvmStateSize.Lapic];
            KvmIoctl.GetLapic(vcpu, lapic);
            System.Buffers.Binary.BinaryPrimitives.WriteUInt32LittleEndian(lapic[Lint0..], DeliverExternal);
            System.Buffers.Binary.BinaryPrimitives.WriteUInt32LittleEndian(lapic[Lint1..], DeliverNmi);
            KvmIoctl.SetLapic(vcpu, lapic);
        }
    }

    private static KvmSpecialRegisters Flat(KvmSpecialRegisters reset, GuestAddress gdt, bool longMode)
    {
        KvmSegment code = new()
        {
            Limit = uint.MaxValue,
            Selector = BootGdt.CodeSelector,
            Type = 0xB,
            Present = 1,
            S = 1,
            G = 1,
            L = longMode ? (byte)1 : (byte)0,
            Db = longMode ? (byte)0 : (byte)1,
        };
        KvmSegment data = code with { Selector = BootGdt.DataSelector, Type = 3, L = 0, Db = 1 };
        return reset with
        {
            Cs = code,
            Ds = data,
            Es = data,
            Fs = data,
            Gs = data,
            Ss = data,
            Tr = new KvmSegment { Selector = BootGdt.TaskSelector, Limit = 0x67, Type = 0xB, Present = 1 },
            Gdt = new KvmDescriptorTable { Base = gdt.Value, Limit = BootGdt.Size - 1 },
            Idt = new KvmDescriptorTable(),
        };
    }
}
