namespace Aperture.Firmware;

/// <summary>Decides where a kernel, its initramfs, its command line and the boot structures go.</summary>
public static class LinuxBoot
{
    internal const uint Entry64Offset = 0x200;

    /// <summary>Plans the boot of <paramref name="kernel"/>: the 64-bit Linux protocol for a bzImage, PVH for an ELF file.</summary>
    /// <exception cref="ApertureException">Something does not fit: one sentence with both sizes.</exception>
    public static BootPlan Plan(KernelImage kernel, BootRequest request) => throw new NotImplementedException();
}
