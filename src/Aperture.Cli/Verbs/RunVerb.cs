using System.Runtime.InteropServices;
using Aperture.Cli.CommandLine;
using Aperture.Cli.Output;
using Aperture.Kvm;
using Aperture.Kvm.X86;
using Aperture.Lab;
using Aperture.Lab.Hardware;
using Aperture.Machine;
using Aperture.Machine.Configuration;
using Aperture.Watch;

namespace Aperture.Cli.Verbs;

/// <summary><c>aperture run</c>: boots a guest.</summary>
internal static class RunVerb
{
    public static Verb Verb { get; } = new(
        "run",
        "boot a guest, with every PCI BAR where you put it",
        [.. MachineOptions.All, LabRunVerb.Hardware],
        "aperture run --kernel vmlinuz --initramfs initrd.gz --cmdline console=ttyS0 --root-port id=rp0 --device test,id=t0,port=rp0,bar2=mem64p:64G:ram,bars=bar2@0x6b8000000000",
        Run);

    private static int Run(ParsedArguments arguments)
    {
        // A file's options count as given here, so that the lab sees them too.
        LabHardware? hardware = arguments.Find(LabRunVerb.Hardware.Name) is { } set ? LabHardware.Find(set) : null;
        arguments = new ParsedArguments(ConfigFile.Expand([.. arguments.Values.Where(v => v.Key != LabRunVerb.Hardware.Name)]));
        MachineConfig config = ConfigReader.Read(arguments.Values);
        if (hardware is not null)
        {
            // The devices are in the lab, whatever the host's own KVM can do.
            config = config.Accel == AccelKind.Kvm
                ? throw new ApertureException($"{LabRunVerb.Hardware.Name} gives devices to the lab's machine, which --accel kvm does not use; leave one of them out.")
                : config with { Accel = AccelKind.Lab };
        }

        return UseLab(config, out string? notice) ? RunInLab(config, arguments, hardware, notice) : RunHere(config);
    }

    private static int RunHere(MachineConfig config)
    {
        VirtualMachine? running = null;
        int signal = 0;
        void OnSignal(PosixSignalContext context)
        {
            context.Cancel = true;
            signal = context.Signal switch { PosixSignal.SIGHUP => 1, PosixSignal.SIGINT => 2, _ => 15 };
            Volatile.Read(ref running)?.Stop($"{context.Signal} was received");
        }

        // Before the machine: the first registration makes the runtime note the terminal's mode, which it puts back when the process ends.
        using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, OnSignal);
        using PosixSignalRegistration terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, OnSignal);
        using PosixSignalRegistration hangUp = PosixSignalRegistration.Create(PosixSignal.SIGHUP, OnSignal);
        EventHub events = new(TimeProvider.System);
        using IDisposable notices = events.Subscribe(new NoticePrinter(Program.Streams.Error));
        using VirtualMachine machine = VirtualMachine.Create(config, TimeProvider.System, events);
        Volatile.Write(ref running, machine);
        if (Volatile.Read(ref signal) != 0)
        {
            machine.Stop("a signal was received");
        }

        MachineOutcome outcome = machine.Run();
        if (outcome.Failed)
        {
            throw new ApertureException(outcome.Reason, ApertureException.HostFailure);
        }

        return signal != 0 ? 128 + signal : outcome.ExitCode;
    }

    private static bool UseLab(MachineConfig config, out string? notice)
    {
        notice = null;
        // A firmware image may well be 16- or 32-bit code, which every KVM runs; a kernel is known to need 64 bits, and firmware with a bank of variables is UEFI's, whose
        // 32-bit build too uses what a limited KVM does not emulate.
        if (config.Accel != AccelKind.Auto || (config.Kernel is null && config.Variables is null))
        {
            return config.Accel == AccelKind.Lab;
        }

        KvmAbility ability = KvmSystem.Probe64Bit();
        if (ability.Runs64Bit)
        {
            return false;
        }

        notice = $"aperture: {ability.Sentence} Using the lab, a software-emulated machine with a complete KVM (slow).";
        return true;
    }

    private static void CheckForLab(MachineConfig config)
    {
        int bits = Math.Min(LabRunner.PhysicalAddressBits, config.PhysicalAddressBits ?? LabRunner.PhysicalAddressBits);
        MachinePlan.Create(config, Hypervisors.LimitsOf(bits)).Dispose();
    }

    private static int RunInLab(MachineConfig config, ParsedArguments arguments, LabHardware? hardware, string? notice)
    {
        if (config.ControlPath is not null)
        {
            throw new ApertureException("--control needs a guest on this machine's own KVM: a socket inside the lab cannot be reached from here; leave it out, or use --accel kvm.");
        }

        // What the user got wrong is told here, not after the lab has started; but the lab's devices are only seen there.
        if (!config.Assigns)
        {
            CheckForLab(config);
        }

        // The same command, with the decision made: inside the lab there is a KVM.
        List<string> command = [Verb.Name];
        foreach ((string name, string value) in arguments.Values.Where(v => v.Key != "--accel"))
        {
            command.AddRange(value.Length > 0 || Verb.Options.First(o => o.Name == name).Value is not null ? [name, value] : [name]);
        }

        command.AddRange(["--accel", "kvm"]);
        LabRun run = new(Environment.ProcessPath!, command)
        {
            Hardware = hardware,
            VfioFunctions = hardware is null ? [] : [.. arguments.Values.SelectMany(v => FunctionsOf(v.Key, v.Value)).OfType<string>().Distinct()],
            WritableDirectories = [.. new[] { config.EventsPath, config.SerialPath, config.ScreenshotPath, config.Variables is { Snapshot: false } own ? own.Path : null }.Concat(config.Devices.Select(d => d.Type switch { "debugcon" => d.Options.Find("file"), "vga" => d.Options.Find("text"), _ => null })).OfType<string>().Select(DirectoryOf).Distinct()],
        };
        if (notice is not null)
        {
            Console.Error.WriteLine(notice);
        }

        LabStreams streams = LabStreams.Console();
        return new LabRunner(LabArtifacts.Locate(), Console.Error).RunAsync(run, streams).GetAwaiter().GetResult();
    }

    private static IEnumerable<string?> FunctionsOf(string option, string value) => option switch
    {
        "--device" => [FunctionOf(value)],
        "--mirror" => value.Split(',').Select(function => FunctionOf("vfio,host=" + function)),
        _ => [],
    };

    /// <summary>The function that <c>vfio,host=03:00.0</c> names, with its segment; null for another device. The lab binds it to vfio-pci.</summary>
    private static string? FunctionOf(string device)
    {
        string[] items = device.Split(',');
        string? host = items[0] == "vfio" ? items.FirstOrDefault(i => i.StartsWith("host=", StringComparison.Ordinal))?[5..] : null;
        return host?.Count(c => c == ':') == 1 ? "0000:" + host : host;
    }

    private static string DirectoryOf(string path)
    {
        string directory = Path.GetDirectoryName(Path.GetFullPath(path)) ?? "/";
        return Directory.Exists(directory)
            ? directory
            : throw new ApertureException($"{path} cannot be written: the folder {directory} does not exist.");
    }
}
