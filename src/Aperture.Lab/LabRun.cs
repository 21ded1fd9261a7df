using Aperture.Lab.Hardware;

namespace Aperture.Lab;

/// <summary>
/// One command to run inside the lab: a program of the host's root file system, started in the software-emulated machine
/// where <c>/dev/kvm</c> is complete. The program sees the host's files at their own paths; what it writes is lost with the
/// machine, except below <see cref="WritableDirectories"/>.
/// </summary>
/// <param name="Program">Absolute host path of the executable.</param>
/// <param name="Arguments">Its arguments, passed on unchanged.</param>
public sealed record LabRun(string Program, IReadOnlyList<string> Arguments)
{
    /// <summary>Set to 1 in the environment of a command that runs inside the lab.</summary>
    public const string InsideVariable = "APERTURE_IN_LAB";

    /// <summary>The kind of machine.</summary>
    public LabPlatform Platform { get; init; } = LabPlatform.X86;

    /// <summary>The directory the command starts in; the caller's own if not told otherwise.</summary>
    public string WorkingDirectory { get; init; } = Directory.GetCurrentDirectory();

    /// <summary>Variables of the command's environment, beside PATH and HOME, which are set when absent here.</summary>
    public IReadOnlyDictionary<string, string> Environment { get; init; } = new Dictionary<string, string>();

    /// <summary>Host directories, absolute and existing, in which the command's writes reach the host.</summary>
    public IReadOnlyList<string> WritableDirectories { get; init; } = [];

    /// <summary>RAM of the software-emulated machine.</summary>
    public int MemoryMiB { get; init; } = 3072;

    /// <summary>Its processors. More than one is slower under emulation.</summary>
    public int Cpus { get; init; } = 1;

    /// <summary>Devices the command is to find.</summary>
    public LabHardware? Hardware { get; init; }

    /// <summary>
    /// Functions of L1, as DDDD:BB:DD.F, that are bound to vfio-pci before the command begins, together with the other members of their IOMMU
    /// groups. If that fails the command does not begin, and the run's exit code is 3.
    /// </summary>
    public IReadOnlyList<string> VfioFunctions { get; init; } = [];

    /// <summary>Whether L1 uses its IOMMU. Without, it has no IOMMU groups.</summary>
    public bool Iommu { get; init; } = true;

    /// <summary>Further QEMU arguments.</summary>
    public IReadOnlyList<string> QemuArguments { get; init; } = [];

    /// <summary>How long the command may run once started; null for no limit.</summary>
    public TimeSpan? Timeout { get; init; }

    /// <summary>How often the machine is started again when it hangs before the command began.</summary>
    public int StartRetries { get; init; } = 2;
}
