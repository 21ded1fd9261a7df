using System.Globalization;

namespace Aperture.Lab;

/// <summary>The arguments of the QEMU that emulates the lab's machine. Pure: the same run gives the same arguments.</summary>
internal static class QemuCommandLine
{
    /// <summary>Debian's name of the emulator, searched in PATH.</summary>
    public const string Program = "qemu-system-x86_64";

    /// <summary>The virtio ports of L1, by the part of their name after "aperture.".</summary>
    public static readonly IReadOnlyList<string> Ports = ["control", "stdin", "stdout", "stderr"];

    /// <summary>Builds the arguments for one start of the machine.</summary>
    public static List<string> Build(LabArtifacts artifacts, LabRun run, LabFolder folder)
    {
        List<string> arguments =
        [
            "-name", "aperture-lab",
            "-machine", "q35", "-accel", "tcg",
            // 48 physical address bits instead of the emulator's 40: a guest's BARs may lie anywhere below 256 TiB.
            // Without ERMS and FSRM Linux clears and copies pages by words: the emulator takes as long for a byte of a string instruction as for a word.
            "-cpu", $"max,+svm,-erms,-fsrm,phys-bits={LabRunner.PhysicalAddressBits}",
            "-smp", run.Cpus.ToString(CultureInfo.InvariantCulture),
            "-m", run.MemoryMiB.ToString(CultureInfo.InvariantCulture),
            "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            "-kernel", artifacts.OuterKernel,
            "-initrd", artifacts.OuterInitramfs,
            // nohz and highres: with them L1 loses a timer interrupt now and then and hangs. The kernel's check of the timer fails on a busy host.
            "-append", $"console=ttyS0 quiet panic=-1 intel_iommu={(run.Iommu ? "on" : "off")} nohz=off highres=off no_timer_check lab.run={folder.Root}",
            "-device", "intel-iommu,intremap=on,caching-mode=on,aw-bits=48",
            "-chardev", "file,id=console,path=" + Escape(folder.ConsoleLog),
            "-serial", "chardev:console",
            "-fsdev", "local,id=hostroot,path=/,security_model=none,readonly=on,multidevs=remap",
            "-device", "virtio-9p-pci,fsdev=hostroot,mount_tag=hostroot",
        ];
        int number = 0;
        foreach (string directory in Outermost(run.WritableDirectories))
        {
            string tag = ExportTag(number++);
            arguments.AddRange("-fsdev", $"local,id={tag},path={Escape(directory)},security_model=none,multidevs=remap");
            arguments.AddRange("-device", $"virtio-9p-pci,fsdev={tag},mount_tag={tag}");
        }
        arguments.AddRange("-device", "virtio-serial-pci");
        foreach (string port in Ports)
        {
            arguments.AddRange("-chardev", $"socket,id={port},path={Escape(folder.Socket(port))}");
            arguments.AddRange("-device", $"virtserialport,chardev={port},name=aperture.{port}");
        }
        arguments.AddRange(run.Hardware?.Arguments(folder.Root) ?? []);
        arguments.AddRange(run.QemuArguments);
        return arguments;
    }

    /// <summary>The 9p mount tag of the writable export with that number.</summary>
    public static string ExportTag(int number) => "rw" + number.ToString(CultureInfo.InvariantCulture);

    /// <summary>The directories in order, each once, without those that lie inside another one.</summary>
    public static IReadOnlyList<string> Outermost(IReadOnlyList<string> directories)
    {
        List<string> kept = [];
        foreach (string directory in directories.Select(Normalize).Distinct().Order(StringComparer.Ordinal))
        {
            if (!kept.Exists(outer => directory.StartsWith(outer + "/", StringComparison.Ordinal)))
            {
                kept.Add(directory);
            }
        }
        return kept;
    }

    private static string Normalize(string directory) =>
        directory.Length > 1 ? directory.TrimEnd('/') : directory;

    /// <summary>A value inside a comma-separated QEMU option: commas are doubled.</summary>
    internal static string Escape(string value) => value.Replace(",", ",,", StringComparison.Ordinal);

    private static void AddRange(this List<string> arguments, string option, string value)
    {
        arguments.Add(option);
        arguments.Add(value);
    }
}
