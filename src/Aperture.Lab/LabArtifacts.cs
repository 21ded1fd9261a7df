namespace Aperture.Lab;

/// <summary>
/// The kernels and initial file systems that <c>./aperture lab prepare</c> puts in <c>.cache/lab</c> of the checkout.
/// </summary>
/// <param name="Folder">The folder that holds them.</param>
public sealed record LabArtifacts(string Folder)
{
    /// <summary>Names another folder than the checkout's own.</summary>
    public const string FolderVariable = "APERTURE_LAB_DIR";

    /// <summary>Kernel of the software-emulated PC: bzImage, or ELF with a PVH note.</summary>
    public string OuterKernel => KernelOf(LabPlatform.X86);

    /// <summary>Its initial file system: lab/l1/init, busybox and the modules its kernel needs.</summary>
    public string OuterInitramfs => InitramfsOf(LabPlatform.X86);

    /// <summary>Programs and libraries of Debian's for arm64, which lie over the host's files in the emulated arm64 machine.</summary>
    public string Arm64Root => Path.Combine(Folder, "arm64-root");

    /// <summary>Debian's own cloud kernel, unmodified: the guest of demo and tests.</summary>
    public string GuestKernel => Path.Combine(Folder, "guest-vmlinuz");

    /// <summary>The guest's initial file system: lab/guest/init, busybox, lspci and setpci.</summary>
    public string GuestInitramfs => Path.Combine(Folder, "guest-initramfs.cpio.gz");

    /// <summary>A kernel with drivers for the lab's devices, its network controllers among them.</summary>
    public string PassthroughKernel => Path.Combine(Folder, "passthrough-vmlinuz");

    /// <summary>Its initial file system: the guest's with modules that the kernel needs and the programs of lab/guest/*.c.</summary>
    public string PassthroughInitramfs => Path.Combine(Folder, "passthrough-initramfs.cpio.gz");

    /// <summary>A guest without an operating system for a function of the mediator partition, which does what its serial port says (lab/guest/bare).</summary>
    public string PartitionGuest => Path.Combine(Folder, "partition-bare");

    /// <summary>The ROM that shows whether an emulator runs 64-bit OVMF (<see cref="Lab.EmulatorProbe"/>).</summary>
    public string EmulatorProbe => Path.Combine(Folder, "cr8-probe.bin");

    /// <summary>OVMF for 32-bit processors, the bank with its code.</summary>
    public string Ovmf32Code => Path.Combine(Folder, "OVMF32_CODE_4M.fd");

    /// <summary>The bank with its variables, as delivered.</summary>
    public string Ovmf32Variables => Path.Combine(Folder, "OVMF32_VARS_4M.fd");

    /// <summary>Debian's firmware test suite (fwts), a script that starts it with libraries of its own.</summary>
    public string FirmwareTestSuite => Path.Combine(Folder, "fwts");

    /// <summary>True when both banks are here.</summary>
    public bool HasOvmf32 => File.Exists(Ovmf32Code) && File.Exists(Ovmf32Variables);

    /// <summary>True when the guest for passed-through devices is here.</summary>
    public bool HasPassthrough => File.Exists(PassthroughKernel) && File.Exists(PassthroughInitramfs);

    /// <summary>True when the software-emulated machine can be started from here.</summary>
    public bool HasOuter => Has(LabPlatform.X86);

    /// <summary>True when the guest's kernel and initial file system are here.</summary>
    public bool HasGuest => File.Exists(GuestKernel) && File.Exists(GuestInitramfs);

    /// <summary>The folder by <see cref="FolderVariable"/>, else <c>.cache/lab</c> of the checkout the program was built in.</summary>
    public static LabArtifacts Locate() => Locate(
        Environment.GetEnvironmentVariable(FolderVariable), AppContext.BaseDirectory, Directory.GetCurrentDirectory());

    internal static LabArtifacts Locate(string? configured, string programFolder, string workingDirectory)
    {
        if (!string.IsNullOrEmpty(configured))
        {
            return new LabArtifacts(Path.GetFullPath(configured, workingDirectory));
        }

        for (string? at = programFolder; at is not null; at = Path.GetDirectoryName(at))
        {
            if (File.Exists(Path.Combine(at, "aperture")) && File.Exists(Path.Combine(at, "lab", "prepare")))
            {
                return new LabArtifacts(Path.Combine(at, ".cache", "lab"));
            }
        }
        return new LabArtifacts(Path.Combine(workingDirectory, ".cache", "lab"));
    }

    /// <summary>Throws the sentence that says what is missing and how to get it.</summary>
    /// <exception cref="ApertureException">A file of the software-emulated machine is absent.</exception>
    public void RequireOuter(LabPlatform platform)
    {
        ArgumentNullException.ThrowIfNull(platform);
        Require(platform.Preparation, KernelOf(platform), InitramfsOf(platform));
    }

    /// <summary>The same for the guest's kernel and initial file system.</summary>
    /// <exception cref="ApertureException">A file of the guest is absent.</exception>
    public void RequireGuest() => Require(LabPlatform.X86.Preparation, GuestKernel, GuestInitramfs);

    /// <summary>True when the software-emulated machine of that kind can be started from here.</summary>
    public bool Has(LabPlatform platform) => File.Exists(KernelOf(platform)) && File.Exists(InitramfsOf(platform));

    /// <summary>The kernel of a kind of machine.</summary>
    public string KernelOf(LabPlatform platform)
    {
        ArgumentNullException.ThrowIfNull(platform);
        return Path.Combine(Folder, platform.Artifact("l1-vmlinuz"));
    }

    /// <summary>Its initial file system.</summary>
    public string InitramfsOf(LabPlatform platform)
    {
        ArgumentNullException.ThrowIfNull(platform);
        return Path.Combine(Folder, platform.Artifact("l1-initramfs.cpio.gz"));
    }

    private static void Require(string preparation, params ReadOnlySpan<string> files)
    {
        foreach (string file in files)
        {
            if (!File.Exists(file))
            {
                throw new ApertureException(
                    $"{file} does not exist: run `{preparation}`, which fetches and builds it.", ApertureException.HostFailure);
            }
        }
    }
}
