using Aperture.Hypervisor.X86;
using Aperture.Linux;
using Aperture.Linux.Kvm;

namespace Aperture.Kvm.X86;

/// <summary>A boot state in the registers of KVM.</summary>
internal static class BootRegisters
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

    /// <summary>The special registers of <paramref name="boot"/>, given those after a reset.</summary>
    public static KvmSpecialRegisters SpecialFrom(this BootState boot, KvmSpecialRegisters reset) => boot.Flat switch
    {
        null => reset,
        { PageTables: { } tables } flat => Segments(reset, flat) with
        {
            Cr0 = ProtectedMode | ExtensionType | NumericError | Paging,
            Cr3 = tables.Value,
            Cr4 = PhysicalAddressExtension,
            Efer = LongMode,
        },
        { } flat => Segments(reset, flat) with { Cr0 = ProtectedMode | ExtensionType, Cr4 = 0, Efer = 0 },
    };

    /// <summary>The general registers of <paramref name="boot"/>, given those after a reset.</summary>
    public static KvmRegisters RegistersFrom(this BootState boot, KvmRegisters reset) => boot.Flat is { } flat
        ? new KvmRegisters { Rip = flat.InstructionPointer.Value, Rax = flat.Rax, Rbx = flat.Rbx, Rsi = flat.Rsi, Rflags = 2 }
        : reset;

    /// <summary>Brings a vCPU that was just reset into <paramref name="boot"/>.</summary>
    public static void Apply(this BootState boot, SafeFileDescriptor vcpu, bool hasLapic)
    {
        if (boot.Flat is null)
        {
            return;
        }

        KvmIoctl.SetSpecialRegisters(vcpu, boot.SpecialFrom(KvmIoctl.GetSpecialRegisters(vcpu)));
        KvmIoctl.SetRegisters(vcpu, boot.RegistersFrom(default));

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

    private static KvmSpecialRegisters Segments(KvmSpecialRegisters reset, FlatEntry flat)
    {
        bool longMode = flat.PageTables is not null;
        KvmSegment code = new()
        {
            Limit = uint.MaxValue,
            Selector = flat.CodeSelector,
            Type = 0xB,
            Present = 1,
            S = 1,
            G = 1,
            L = longMode ? (byte)1 : (byte)0,
            Db = longMode ? (byte)0 : (byte)1,
        };
        KvmSegment data = code with { Selector = flat.DataSelector, Type = 3, L = 0, Db = 1 };
        return reset with
        {
            Cs = code,
            Ds = data,
            Es = data,
            Fs = data,
            Gs = data,
            Ss = data,
            Tr = new KvmSegment { Selector = flat.TaskSelector, Limit = 0x67, Type = 0xB, Present = 1 },
            Gdt = new KvmDescriptorTable { Base = flat.Gdt.Start.Value, Limit = (ushort)(flat.Gdt.Size - 1) },
            Idt = new KvmDescriptorTable(),
        };
    }
}
