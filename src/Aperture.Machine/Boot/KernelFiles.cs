using Aperture.Configuration;
using Aperture.Firmware.Boot;

namespace Aperture.Machine.Boot;

/// <summary>The opened files of a direct boot.</summary>
/// <param name="Kernel">The kernel, its headers checked.</param>
/// <param name="Initramfs">The initial RAM file system, or null.</param>
internal sealed record KernelFiles(KernelImage Kernel, BootFile? Initramfs) : IDisposable
{
    /// <summary>Opens the files that <paramref name="config"/> names; it has a kernel.</summary>
    /// <exception cref="ApertureException">A file cannot be read or is not what it should be.</exception>
    public static KernelFiles Open(MachineConfig config)
    {
        KernelImage kernel = KernelImage.Open(config.Kernel!, byFirmware: config.Firmware is not null);
        try
        {
            return new KernelFiles(kernel, config.Initramfs is { } path ? BootFile.Open(path, "initramfs") : null);
        }
        catch
        {
            kernel.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Kernel.Dispose();
        Initramfs?.Dispose();
    }
}
