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
            Check(kernel, config.Board);
            return new KernelFiles(kernel, config.Initramfs is { } path ? BootFile.Open(path, "initramfs") : null);
        }
        catch
        {
            kernel.Dispose();
            throw;
        }
    }

    private static void Check(KernelImage kernel, BoardKind board)
    {
        bool isArm = kernel.Architecture == KernelArchitecture.Arm64;
        if (isArm != (board == BoardKind.Virt))
        {
            throw new ApertureException(isArm
                ? $"kernel {kernel.File.Path} is for arm64, and the processors of --machine {(board == BoardKind.Q35 ? "q35" : "i440fx")} are x86; use an "
                    + "x86-64 kernel, or --machine virt."
                : $"kernel {kernel.File.Path} is for x86, and the processors of --machine virt are arm64; use an arm64 Image, or --machine q35.");
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Kernel.Dispose();
        Initramfs?.Dispose();
    }
}
