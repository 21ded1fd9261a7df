using System.Globalization;

namespace Aperture.Lab;

/// <summary>The arguments of the QEMU that emulates the lab's machine. Pure: the same run gives the same arguments.</summary>
internal static class QemuCommandLine
{
    /// <summary>The virtio ports of L1, by the part of their name after "aperture.".</summary>
    public static readonly IReadOnlyList<string> Ports = ["control", "stdin", "stdout", "stderr"];

    /// <summary>Builds the arguments for one start of the machine.</summary>
    public static List<string> Build(LabArtifacts artifacts, LabRun run, LabFolder folder)
    {
        List<string> arguments =
        [
            "-name", "aperture-lab",
            .. run.Platform.Machine(artifacts, run),
            "-smp", run.Cpus.ToString(CultureInfo.InvariantCulture),
            "-m", run.MemoryMiB.ToString(CultureInfo.InvariantCulture),
            "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            "-kernel", artifacts.KernelOf(run.Platform),
            "-initrd", artifacts.InitramfsOf(run.Platform),
            "-append", $"{run.Platform.KernelOptions(run)} lab.run={folder.Root}",
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
