namespace Aperture.Firmware.Boot.X86;

/// <summary>
/// Where the small structures of a direct boot lie: in the first 640 KiB, which kernels leave alone until they have read them, and not in page 0,
/// which they use as a BIOS would.
/// </summary>
internal static class BootLayout
{
    public const ulong PageSize = 4096;

    /// <summary>Kernels and initramfs stay above the first MiB.</summary>
    public static readonly GuestAddress FirstMiB = new(0x10_0000);

    public static readonly GuestAddress Gdt = new(0x1000);

    /// <summary>The zero page (4 KiB), or PVH's start info with its module list and memory map behind it.</summary>
    public static readonly GuestAddress Information = new(0x2000);

    public static readonly GuestAddress PageTables = new(0x1_0000);

    public static readonly GuestAddress CommandLine = new(0x2_0000);

    /// <summary>Room for the command line and its zero; it ends far below the extended BIOS data area.</summary>
    public const ulong CommandLineRoom = 0x1_0000;
}
