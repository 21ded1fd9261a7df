using Aperture.Firmware.Boot.X86;
using Aperture.Hypervisor.X86;

namespace Aperture.Kvm.Tests;

/// <summary>Boot states as the two protocols for Linux have them, with the descriptor table that a direct boot writes.</summary>
internal static class BootStates
{
    public static BootState Linux64(GuestAddress entry, GuestAddress zeroPage, GuestAddress pageTables, GuestAddress gdt) =>
        new(Flat(entry, pageTables, gdt) with { Rsi = zeroPage.Value });

    public static BootState Pvh(GuestAddress entry, GuestAddress startInfo, GuestAddress gdt) =>
        new(Flat(entry, null, gdt) with { Rbx = startInfo.Value });

    private static FlatEntry Flat(GuestAddress entry, GuestAddress? pageTables, GuestAddress gdt) => new(entry, pageTables, new AddressRange(gdt, BootGdt.Size))
    {
        CodeSelector = BootGdt.CodeSelector,
        DataSelector = BootGdt.DataSelector,
        TaskSelector = BootGdt.TaskSelector,
    };
}
