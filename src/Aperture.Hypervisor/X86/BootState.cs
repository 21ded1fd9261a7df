namespace Aperture.Hypervisor.X86;

/// <summary>The state in which the boot processor enters the guest. What it points at (page tables, GDT, code) is in guest memory already.</summary>
/// <param name="Flat">What differs from the processor's own reset state; null for that state.</param>
public sealed record BootState(FlatEntry? Flat) : EntryState
{
    /// <summary>The processor's own reset state: real mode, first instruction at 0xFFFFFFF0 (SDM 3A 9.1.4). For firmware.</summary>
    public static BootState ResetVector { get; } = new(Flat: null);
}

/// <summary>
/// A start in protected mode with flat segments and interrupts off; in long mode where there are page tables. The hidden parts of the segment registers are
/// those of flat 4 GiB segments of the mode, TR's those of a busy task state segment at 0 with limit 0x67. Registers that are not named here are 0.
/// </summary>
/// <param name="InstructionPointer">RIP or EIP.</param>
/// <param name="PageTables">CR3, with paging on in 64-bit mode; null for 32-bit mode with paging off.</param>
/// <param name="Gdt">The descriptor table: base and size (limit + 1).</param>
public sealed record FlatEntry(GuestAddress InstructionPointer, GuestAddress? PageTables, AddressRange Gdt)
{
    /// <summary>RAX.</summary>
    public ulong Rax { get; init; }

    /// <summary>RBX.</summary>
    public ulong Rbx { get; init; }

    /// <summary>RSI.</summary>
    public ulong Rsi { get; init; }

    /// <summary>CS.</summary>
    public required ushort CodeSelector { get; init; }

    /// <summary>DS, ES, FS, GS and SS.</summary>
    public required ushort DataSelector { get; init; }

    /// <summary>TR.</summary>
    public required ushort TaskSelector { get; init; }
}
