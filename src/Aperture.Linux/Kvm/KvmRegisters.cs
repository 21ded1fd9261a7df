using System.Runtime.InteropServices;

namespace Aperture.Linux.Kvm;

// Field for field the register structures of asm/kvm.h (x86); the tests compare every size and offset with the kernel's headers.

/// <summary>struct kvm_regs: the general registers.</summary>
[StructLayout(LayoutKind.Sequential)]
public record struct KvmRegisters
{
    /// <summary>RAX.</summary>
    public ulong Rax;

    /// <summary>RBX.</summary>
    public ulong Rbx;

    /// <summary>RCX.</summary>
    public ulong Rcx;

    /// <summary>RDX.</summary>
    public ulong Rdx;

    /// <summary>RSI.</summary>
    public ulong Rsi;

    /// <summary>RDI.</summary>
    public ulong Rdi;

    /// <summary>RSP.</summary>
    public ulong Rsp;

    /// <summary>RBP.</summary>
    public ulong Rbp;

    /// <summary>R8.</summary>
    public ulong R8;

    /// <summary>R9.</summary>
    public ulong R9;

    /// <summary>R10.</summary>
    public ulong R10;

    /// <summary>R11.</summary>
    public ulong R11;

    /// <summary>R12.</summary>
    public ulong R12;

    /// <summary>R13.</summary>
    public ulong R13;

    /// <summary>R14.</summary>
    public ulong R14;

    /// <summary>R15.</summary>
    public ulong R15;

    /// <summary>RIP.</summary>
    public ulong Rip;

    /// <summary>RFLAGS; bit 1 always reads 1.</summary>
    public ulong Rflags;
}

/// <summary>struct kvm_segment: a segment register with its hidden part (SDM 3A 3.4.3).</summary>
[StructLayout(LayoutKind.Explicit, Size = 24)]
public record struct KvmSegment
{
    /// <summary>Base address.</summary>
    [FieldOffset(0)]
    public ulong Base;

    /// <summary>Limit in bytes, the granularity applied already.</summary>
    [FieldOffset(8)]
    public uint Limit;

    /// <summary>The visible selector.</summary>
    [FieldOffset(12)]
    public ushort Selector;

    /// <summary>Descriptor type, 3:0; bit 0 is accessed.</summary>
    [FieldOffset(14)]
    public byte Type;

    /// <summary>1: present.</summary>
    [FieldOffset(15)]
    public byte Present;

    /// <summary>Descriptor privilege level.</summary>
    [FieldOffset(16)]
    public byte Dpl;

    /// <summary>1: 32-bit operands by default.</summary>
    [FieldOffset(17)]
    public byte Db;

    /// <summary>1: code or data; 0: system.</summary>
    [FieldOffset(18)]
    public byte S;

    /// <summary>1: 64-bit code.</summary>
    [FieldOffset(19)]
    public byte L;

    /// <summary>1: the limit counts 4 KiB pages.</summary>
    [FieldOffset(20)]
    public byte G;

    /// <summary>The bit for the system's own use.</summary>
    [FieldOffset(21)]
    public byte Avl;

    /// <summary>1: holds no segment.</summary>
    [FieldOffset(22)]
    public byte Unusable;
}

/// <summary>struct kvm_dtable: GDTR or IDTR.</summary>
[StructLayout(LayoutKind.Explicit, Size = 16)]
public record struct KvmDescriptorTable
{
    /// <summary>Base address.</summary>
    [FieldOffset(0)]
    public ulong Base;

    /// <summary>Last byte's offset.</summary>
    [FieldOffset(8)]
    public ushort Limit;
}

/// <summary>struct kvm_sregs: segment, table and control registers.</summary>
[StructLayout(LayoutKind.Explicit, Size = 312)]
public record struct KvmSpecialRegisters
{
    /// <summary>CS.</summary>
    [FieldOffset(0)]
    public KvmSegment Cs;

    /// <summary>DS.</summary>
    [FieldOffset(24)]
    public KvmSegment Ds;

    /// <summary>ES.</summary>
    [FieldOffset(48)]
    public KvmSegment Es;

    /// <summary>FS.</summary>
    [FieldOffset(72)]
    public KvmSegment Fs;

    /// <summary>GS.</summary>
    [FieldOffset(96)]
    public KvmSegment Gs;

    /// <summary>SS.</summary>
    [FieldOffset(120)]
    public KvmSegment Ss;

    /// <summary>Task register.</summary>
    [FieldOffset(144)]
    public KvmSegment Tr;

    /// <summary>Local descriptor table register.</summary>
    [FieldOffset(168)]
    public KvmSegment Ldt;

    /// <summary>GDTR.</summary>
    [FieldOffset(192)]
    public KvmDescriptorTable Gdt;

    /// <summary>IDTR.</summary>
    [FieldOffset(208)]
    public KvmDescriptorTable Idt;

    /// <summary>CR0.</summary>
    [FieldOffset(224)]
    public ulong Cr0;

    /// <summary>CR2.</summary>
    [FieldOffset(232)]
    public ulong Cr2;

    /// <summary>CR3.</summary>
    [FieldOffset(240)]
    public ulong Cr3;

    /// <summary>CR4.</summary>
    [FieldOffset(248)]
    public ulong Cr4;

    /// <summary>CR8.</summary>
    [FieldOffset(256)]
    public ulong Cr8;

    /// <summary>IA32_EFER.</summary>
    [FieldOffset(264)]
    public ulong Efer;

    /// <summary>IA32_APIC_BASE.</summary>
    [FieldOffset(272)]
    public ulong ApicBase;

    /// <summary>Pending external interrupts, vectors 63:0; at most one bit of the four words is set.</summary>
    [FieldOffset(280)]
    public ulong InterruptBitmap0;

    /// <summary>Vectors 127:64.</summary>
    [FieldOffset(288)]
    public ulong InterruptBitmap1;

    /// <summary>Vectors 191:128.</summary>
    [FieldOffset(296)]
    public ulong InterruptBitmap2;

    /// <summary>Vectors 255:192.</summary>
    [FieldOffset(304)]
    public ulong InterruptBitmap3;
}

/// <summary>Sizes of the state structures that are only saved and put back, never looked into.</summary>
public static class KvmStateSize
{
    /// <summary>struct kvm_fpu.</summary>
    public const int Fpu = 416;

    /// <summary>struct kvm_lapic_state: the local APIC's register page, a register every 16 bytes (SDM 3A 11.4.1).</summary>
    public const int Lapic = 1024;

    /// <summary>struct kvm_xcrs.</summary>
    public const int Xcrs = 392;

    /// <summary>struct kvm_xsave; the least, KVM_CAP_XSAVE2 says how much there is.</summary>
    public const int Xsave = 4096;

    /// <summary>struct kvm_nested_state without what follows it while a guest of the guest exists.</summary>
    public const int NestedState = 128;

    /// <summary>struct kvm_debugregs.</summary>
    public const int DebugRegisters = 128;

    /// <summary>struct kvm_vcpu_events.</summary>
    public const int VcpuEvents = 64;

    /// <summary>struct kvm_irqchip, its id in the first word.</summary>
    public const int Irqchip = 520;

    /// <summary>struct kvm_pit_state2.</summary>
    public const int Pit = 112;
}
