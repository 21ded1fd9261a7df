using System.Runtime.InteropServices;
using Aperture.Cli.CommandLine;
using Aperture.Cli.Output;
using Aperture.Configuration;
using Aperture.Configuration.Kinds;
using Aperture.Kvm;
using Aperture.Lab;
using Aperture.Lab.Hardware;
using Aperture.Machine;
using Aperture.Machine.Boot;
using Aperture.Watch;

namespace Aperture.Cli.Verbs;

/// <summary><c>aperture run</c>: boots a guest.</summary>
internal static class RunVerb
{
    public static Verb Verb { get; } = new(
        "run",
        "boot a guest, with every PCI BAR where you put it",
        [.. GuestOptions.All, LabRunVerb.Hardware],
        "aperture run --kernel vmlinuz --initramfs initrd.gz --cmdline console=ttyS0 --root-port id=rp0 --device "
            + "test,id=t0,port=rp0,bar2=mem64p:64G:ram,bars=bar2@0x6b8000000000",
        Run);

    private static int Run(ParsedArguments arguments)
    {
        // A file's options count as given here, so that the lab sees them too.
        LabHardware? hardware = arguments.Find(LabRunVerb.Hardware.Name) is { } set ? LabHardware.Find(set) : null;
        IReadOnlyList<Setting> settings = arguments.Settings(LabRunVerb.Hardware.Name);
        MachineConfig config = ConfigReader.Read(settings);
        if (hardware is not null)
        {
            // The devices are in the lab, whatever the host's own KVM can do.
            config = config.Accel == AccelKind.Kvm
                ? throw new ApertureException($"{LabRunVerb.Hardware.Name} gives devices to the lab's machine, which --accel kvm does not use; "
                    + "leave one of them out.")
                : config with { Accel = AccelKind.Lab };
        }

        return UseLab(config, out string? notice) ? RunInLab(config, settings, hardware, notice) : RunHere(config);
    }

    private static int RunHere(MachineConfig config)
    {
        VirtualMachine? running = null;
        int signal = 0;
        using CancellationTokenSource waits = new();
        void OnSignal(PosixSignalContext context)
        {
            context.Cancel = true;
            signal = context.Signal switch { PosixSignal.SIGHUP => 1, PosixSignal.SIGINT => 2, _ => 15 };
            waits.Cancel();
            Volatile.Read(ref running)?.Stop($"{context.Signal} was received");
        }

        // Before the machine: the first registration makes the runtime note the terminal's mode, which it puts back when the process ends.
        using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, OnSignal);
        using PosixSignalRegistration terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, OnSignal);
        using PosixSignalRegistration hangUp = PosixSignalRegistration.Create(PosixSignal.SIGHUP, OnSignal);
        EventHub events = new(TimeProvider.System);
        using IDisposable notices = events.Subscribe(new NoticePrinter(Program.Streams.Error));
        try
        {
            return RunToEnd();
        }
        catch (OperationCanceledException) when (Volatile.Read(ref signal) != 0)
        {
            return 128 + signal;
        }

        int RunToEnd()
        {
            using VirtualMachine machine = VirtualMachine.Create(config, TimeProvider.System, events, waits.Token);
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
    }

    private static bool UseLab(MachineConfig config, out string? notice)
    {
        notice = null;
        // A firmware image may well be 16- or 32-bit code, which every KVM runs; a kernel is known to need 64 bits, and firmware with a bank of variables is
        // UEFI's, whose 32-bit build too uses what a limited KVM does not emulate.
        if (config.Accel != AccelKind.Auto || (config.Kernel is null && config.Variables is null))
        {
            return config.Accel == AccelKind.Lab;
        }

        if (!Hypervisors.RunsHere(config.Board))
        {
            notice = "aperture: the virt machine's guests are arm64, which this host is not. Using the lab, a software-emulated arm64 machine with a complete "
                + "KVM (slow).";
            return true;
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
        int bits = Math.Min(
            LabPlatform.PhysicalAddressBits, FirmwareAddressBits.Most(config, LabPlatform.PhysicalAddressBits) ?? LabPlatform.PhysicalAddressBits);
        MachinePlan.Create(config, Hypervisors.LimitsOf(config, bits)).Dispose();
    }

    private static int RunInLab(MachineConfig config, IReadOnlyList<Setting> settings, LabHardware? hardware, string? notice)
    {
        if (config.ControlPath is not null)
        {
            throw new ApertureException("--control needs a guest on this machine's own KVM: a socket inside the lab cannot be reached from here; "
                + "leave it out, or use --accel kvm.");
        }

        if (config.Devices.OfType<VfioUserSpec>().FirstOrDefault() is { } served)
        {
            throw new ApertureException(
                $"--device vfio-user needs a guest on this machine's own KVM: {served.Socket} cannot be reached from inside the lab; leave it out, or use "
                    + "--accel kvm.");
        }

        // What the user got wrong is told here, not after the lab has started; but the lab's devices are only seen there.
        if (!config.Assigns)
        {
            CheckForLab(config);
        }

        // The same command, with the decision made: inside the lab there is a KVM.
        List<string> command = [Verb.Name];
        foreach (Setting setting in settings.Where(s => s.Name != "--accel"))
        {
            command.AddRange(MachineOptions.Find(setting.Name)!.Form is not null ? [setting.Name, setting.Text] : [setting.Name]);
        }

        command.AddRange(["--accel", "kvm"]);
        LabRun run = new(ProgramOf(config.Board), command)
        {
            Platform = PlatformOf(config.Board),
            Hardware = hardware,
            VfioFunctions = hardware is null ? [] : FunctionsOf(config),
            WritableDirectories = [.. config.Files.Where(f => f.Access == HostAccess.Write).Select(f => DirectoryOf(f.Path)).Distinct()],
        };
        if (notice is not null)
        {
            Console.Error.WriteLine(notice);
        }

        LabStreams streams = LabStreams.Console();
        return new LabRunner(LabArtifacts.Locate(), Console.Error).RunAsync(run, streams).GetAwaiter().GetResult();
    }

    private static LabPlatform PlatformOf(BoardKind board) => board == BoardKind.Virt ? LabPlatform.Arm64 : LabPlatform.X86;

    // This program, or the one for the other processor beside it.
    private static string ProgramOf(BoardKind board)
    {
        if (Hypervisors.RunsHere(board))
        {
            return Environment.ProcessPath!;
        }

        string other = Path.Combine(AppContext.BaseDirectory, "aperture-arm64");
        return File.Exists(other)
            ? other
            : throw new ApertureException(
                $"{other} is not there, which runs arm64 guests in the lab: run `./aperture build --arch arm64`, which makes it.",
                ApertureException.HostFailure);
    }

    // What the lab binds to vfio-pci, by address; functions named in another way are there already.
    private static IReadOnlyList<string> FunctionsOf(MachineConfig config)
    {
        IEnumerable<PciAddress> devices = config.Devices.OfType<VfioSpec>().Select(d => d.Device.Function).OfType<PciAddress>();
        IEnumerable<PciAddress?> mirrored = (config.Mirror ?? "").Split(',')
            .Select(text => PciAddress.TryParse(text, out PciAddress address) ? address : (PciAddress?)null);
        return [.. devices.Concat(mirrored.OfType<PciAddress>()).Distinct().Select(address => address.ToString())];
    }

    private static string DirectoryOf(string path)
    {
        // A link stays; what it leads to is written.
        string directory = Path.GetDirectoryName(Path.GetFullPath(UserFile.Behind(path))) ?? "/";
        return Directory.Exists(directory)
            ? directory
            : throw new ApertureException($"{path} cannot be written: the folder {directory} does not exist.");
    }
}
