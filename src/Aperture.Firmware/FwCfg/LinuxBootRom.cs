using Aperture.Firmware.Boot;

namespace Aperture.Firmware.FwCfg;

/// <summary>
/// The option ROM that starts a kernel under SeaBIOS, which does not do so by itself: Debian's qemu-system-data ships it. It is offered as a file
/// below <c>genroms/</c>, which SeaBIOS runs, and put first in the boot order. UEFI firmware ignores it and reads the kernel's keys itself.
/// </summary>
public static class LinuxBootRom
{
    /// <summary>The ROM's file name.</summary>
    public const string Name = "linuxboot_dma.bin";

    /// <summary>Where distributions keep it.</summary>
    private static readonly string[] Folders = ["/usr/share/qemu", "/usr/share/seabios", "/usr/share/qemu-kvm", "/usr/lib/qemu"];

    /// <summary>The path of the ROM: beside <paramref name="firmware"/> if it is there, else where distributions keep it; null when it is nowhere.</summary>
    public static string? Find(string firmware)
    {
        string beside = Path.GetDirectoryName(Path.GetFullPath(firmware)) ?? "/";
        return Folders.Prepend(beside).Select(static folder => Path.Combine(folder, Name)).FirstOrDefault(File.Exists);
    }

    /// <summary>Opens it.</summary>
    /// <exception cref="ApertureException">It is not installed.</exception>
    public static BootFile Open(string firmware) => Find(firmware) is { } path
        ? BootFile.Open(path, "option ROM")
        : throw new ApertureException(
            $"--kernel under {Path.GetFileName(firmware)} needs {Name}, which is neither beside the firmware nor in {string.Join(", ", Folders)}; install "
                + $"qemu-system-data");
}
