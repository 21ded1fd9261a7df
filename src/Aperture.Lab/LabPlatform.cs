namespace Aperture.Lab;

/// <summary>A kind of machine that the lab emulates, whose KVM is complete: what of it differs from the other kind.</summary>
public abstract class LabPlatform
{
    private LabPlatform()
    {
    }

    /// <summary>A PC with AMD's SVM.</summary>
    public static LabPlatform X86 { get; } = new Pc();

    /// <summary>An arm64 machine started at EL2, with GICv3, ITS and SMMUv3. Its programs are its own: of the host it sees the files.</summary>
    public static LabPlatform Arm64 { get; } = new Virt();

    /// <summary>All kinds.</summary>
    public static IReadOnlyList<LabPlatform> All { get; } = [X86, Arm64];

    /// <summary>What the command line calls it.</summary>
    public abstract string Name { get; }

    /// <summary>The physical address bits of guests inside, of every kind: a guest's BARs may lie anywhere below 256 TiB.</summary>
    public const int PhysicalAddressBits = 48;

    /// <summary>Debian's name of the emulator, searched in PATH.</summary>
    internal abstract string Emulator { get; }

    /// <summary>Debian's package with it.</summary>
    internal abstract string EmulatorPackage { get; }

    /// <summary>The command that makes its artefacts.</summary>
    internal abstract string Preparation { get; }

    /// <summary>The kind of that name.</summary>
    /// <exception cref="ApertureException">There is none.</exception>
    public static LabPlatform Find(string name) => All.FirstOrDefault(p => p.Name == name) ??
        throw new ApertureException($"The lab has no machine called '{name}'; it has {string.Join(" and ", All.Select(p => p.Name))}.");

    /// <summary>The name among the artefacts of what is <paramref name="name"/> for every kind.</summary>
    internal abstract string Artifact(string name);

    /// <summary>The emulator's arguments for the bare machine.</summary>
    internal abstract IReadOnlyList<string> Machine(LabArtifacts artifacts, LabRun run);

    /// <summary>What the machine's kernel is told of its console and its devices.</summary>
    internal abstract string KernelOptions(LabRun run);

    private sealed class Pc : LabPlatform
    {
        public override string Name => "x86-64";

        internal override string Emulator => "qemu-system-x86_64";

        internal override string EmulatorPackage => "qemu-system-x86";

        internal override string Preparation => "./aperture lab prepare";

        internal override string Artifact(string name) => name;

        internal override IReadOnlyList<string> Machine(LabArtifacts artifacts, LabRun run) =>
        [
            "-machine", "q35", "-accel", "tcg",
            // The emulator's own processor has 40 physical address bits.
            // Without ERMS and FSRM Linux clears and copies pages by words: the emulator takes as long for a byte of a string instruction as for a word.
            "-cpu", $"max,+svm,-erms,-fsrm,phys-bits={PhysicalAddressBits}",
            "-device", "intel-iommu,intremap=on,caching-mode=on,aw-bits=48",
        ];

        // nohz and highres: with them L1 loses a timer interrupt now and then and hangs. The kernel's check of the timer fails on a busy host.
        internal override string KernelOptions(LabRun run) =>
            $"console=ttyS0 quiet panic=-1 intel_iommu={(run.Iommu ? "on" : "off")} nohz=off highres=off no_timer_check";
    }

    private sealed class Virt : LabPlatform
    {
        public override string Name => "arm64";

        internal override string Emulator => "qemu-system-aarch64";

        internal override string EmulatorPackage => "qemu-system-arm";

        internal override string Preparation => "./aperture lab prepare arm64";

        internal override string Artifact(string name) => "arm64-" + name;

        // The processor has VHE and 48 bits of guest addresses; "max" has more of both and takes half as long again.
        internal override IReadOnlyList<string> Machine(LabArtifacts artifacts, LabRun run) =>
        [
            "-machine", "virt,virtualization=on,gic-version=3" + (run.Iommu ? ",iommu=smmuv3" : ""), "-accel", "tcg", "-cpu", "neoverse-n1",
            // Programs of the machine's own kind, which its init puts over the host's: an export of its own, for no layer of an overlay lies in another.
            "-fsdev", $"local,id=own,path={QemuCommandLine.Escape(artifacts.Arm64Root)},security_model=none,readonly=on,multidevs=remap",
            "-device", "virtio-9p-pci,fsdev=own,mount_tag=own",
        ];

        internal override string KernelOptions(LabRun run) => "console=ttyAMA0 quiet panic=-1 lab.own=own";
    }
}
