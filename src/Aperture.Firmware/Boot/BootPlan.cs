namespace Aperture.Firmware.Boot;

/// <summary>The processor mode a kernel is entered in.</summary>
public enum BootMode
{
    /// <summary>Linux's 64-bit protocol: long mode, identity-mapped by <see cref="BootEntry.PageTables"/>, boot information in RSI.</summary>
    Long64,

    /// <summary>PVH: 32-bit protected mode, paging off, boot information in EBX.</summary>
    Pvh32,

    /// <summary>Multiboot: as PVH, with its magic number in EAX.</summary>
    Multiboot32,
}

/// <summary>
/// How the boot processor starts. Interrupts off; segment registers flat from the selectors; every register that <see cref="Mode"/> does not name is 0.
/// </summary>
/// <param name="Mode">The processor mode.</param>
/// <param name="InstructionPointer">RIP or EIP.</param>
/// <param name="BootInformation">The zero page (to RSI), or the start info of PVH or the information of Multiboot (to EBX).</param>
/// <param name="PageTables">CR3 in long mode; 0 in 32-bit mode.</param>
/// <param name="Gdt">The descriptor table: base and size (limit + 1).</param>
/// <param name="CodeSelector">CS.</param>
/// <param name="DataSelector">DS, ES, SS (and FS, GS).</param>
/// <param name="TaskSelector">TR: a busy TSS at 0, limit 0x67.</param>
public sealed record BootEntry(
    BootMode Mode,
    GuestAddress InstructionPointer,
    GuestAddress BootInformation,
    GuestAddress PageTables,
    AddressRange Gdt,
    ushort CodeSelector,
    ushort DataSelector,
    ushort TaskSelector);

/// <summary>Everything that must be in guest memory, and how to enter it.</summary>
/// <param name="Segments">What to copy; segments do not overlap, and all lie in RAM.</param>
/// <param name="Entry">The boot processor's start state.</param>
public sealed record BootPlan(IReadOnlyList<BootSegment> Segments, BootEntry Entry);
