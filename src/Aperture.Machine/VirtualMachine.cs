using System.Text.Json;
using Aperture.Kvm;
using Aperture.Kvm.X86;
using Aperture.Machine.Assigned;
using Aperture.Machine.Board;
using Aperture.Configuration;
using Aperture.Machine.Console;
using Aperture.Machine.Control;
using Aperture.Machine.Verification;
using Aperture.Memory;
using Aperture.Placement.Map;
using Aperture.Watch;

namespace Aperture.Machine;

/// <summary>
/// A virtual machine from its configuration to its end. Creating it checks everything that can be checked without running the guest, the command line
/// before the host; a failure there leaves nothing behind.
/// </summary>
public sealed class VirtualMachine : IDisposable, IMachineControl, IMsiSink
{
    private readonly MachineConfig _config;
    private readonly Stack<IDisposable> _parts = new();
    private readonly EventLog _events;
    private readonly KvmVm _vm;
    private readonly GuestRam _ram;
    private readonly PciBoard _board;
    private readonly VcpuGroup _vcpus;
    private readonly MachinePlan _plan;
    private readonly SlotListener _slots;
    private readonly HostDevices _hostDevices;
    private readonly SerialConnection _serial;
    private readonly Supervision _supervision;
    private readonly ScreenOutput _screen;
    private readonly ManualResetEventSlim _requested = new();
    private readonly Lock _requestGate = new();

    // Under the gate. The first request wins, but one to end the run replaces one to reset: it must not be lost in the reset.
    private Pending? _request;

    private VirtualMachine(MachineConfig config, TimeProvider clock)
    {
        _config = config;
        try
        {
            // What the user got wrong is told even where there is no KVM, so its absence waits.
            KvmSystem? system = OpenKvm(out ApertureException? missing);
            if (system is not null)
            {
                Own(system);
            }

            CpuidTable? cpuid = system is null ? null : CpuidTable.FromHost(system, config.Cpus, config.PhysicalAddressBits);
            HypervisorStart? start = system is null || cpuid is null ? null : Own(new HypervisorStart(system, cpuid, config.Cpus, Stopped));
            _plan = Own(MachinePlan.Create(config, cpuid?.PhysicalAddressBits ?? HostCpu.PhysicalAddressBits(config.PhysicalAddressBits)));
            _ram = Own(GuestRam.Create(RamLayout.Planned(Map.Ram), config.HugePages ? RamPages.Huge2M : RamPages.Ordinary));
            if (_plan.Topology.Assigned.Count > 0)
            {
                // All of it is pinned once the devices are there.
                Own(new RamPopulation(_ram.Block));
            }

            _events = Own(config.EventsPath is { } path ? EventLog.Open(path, clock) : EventLog.None);
            _serial = Own(SerialConnection.Open(config));
            DebugConsoles consoles = Own(DebugConsoles.Open(_plan.DebugConsoleFiles));
            if (start is null || cpuid is null)
            {
                throw missing!;
            }

            VariableBank? variables = config.Variables is { } flash ? Own(VariableBank.Open(flash, sentence => _events.Write("flash.failed", json => json.WriteString("reason", sentence)))) : null;
            _vm = start.WaitForVm();
            _hostDevices = Own(new HostDevices(config.Vfio, _plan.Topology.Assigned, _vm, _events));
            _board = Own(new PciBoard(new BoardParts(
                _ram, _plan.Firmware, Map, _plan.Root, cpuid.PhysicalAddressBits, _vm.Line, this, this, _serial.Backend, _plan.DebugExits, clock, _events)
            {
                Chipset = _plan.Chipset,
                DebugConsoles = consoles.Ports,
                Cpus = config.Cpus,
                Variables = variables,
                Makers = [new PcDeviceMaker(sentence => _events.Write("disk.failed", json => json.WriteString("reason", sentence))), _hostDevices],
            }));
            _plan.FirmwareBoot?.Attach(_board, sentence => _events.Write("firmware.tables", json => json.WriteString("note", sentence)));
            CpuBus screen = new(_board, static _ => VcpuAction.Park);
            _screen = Own(new ScreenOutput(config, _board.Display, clock, () => _vm.PostedWrites.Deliver(screen)));
            _slots = new SlotListener(new SlotBackend(_vm.Memory));

            // Between the vCPUs' end and the devices' closing: nothing may reach a device that is given back.
            Own(new Quiescence(_board, _hostDevices));
            _vcpus = Own(start.TakeVcpus(_board));
            _board.Memory.Barrier = new VcpuBarrier(_vcpus);
            _board.Memory.AddListener(_slots);
            _board.Memory.AddListener(new SlotEvents(_slots, _events));
            _board.Memory.AddListener(new PostedWriteListener(new PostedWriteBackend(_vm.PostedWrites)));
            _hostDevices.Follow(_board.Memory);
            _supervision = Own(new Supervision(_board, _slots, _plan, config, _events, clock, Fail, new AssignedMappings(() => _hostDevices.Iommu)));
            _hostDevices.Notices.Unplug = Own(new DeviceReturn(_supervision.Hotplug, _events)).Begin;
            if (config.ControlPath is { } control)
            {
                _supervision.Listen(control, this);
            }
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Where everything was placed.</summary>
    public PlacementMap Map => _plan.Map;

    /// <summary>The board, for who looks at the guest from outside.</summary>
    internal PciBoard Board => _board;

    /// <summary>Makes the machine, stopped.</summary>
    /// <exception cref="ApertureException">The configuration contradicts itself, the host, or the address map; or the host refuses.</exception>
    public static VirtualMachine Create(MachineConfig config, TimeProvider clock) => new(config, clock);

    /// <summary>Runs the guest until it powers off, exits, fails, or <see cref="Stop"/> is called.</summary>
    /// <exception cref="ApertureException">The host failed.</exception>
    public MachineOutcome Run()
    {
        _serial.StartInput(_board.Serial, () => Stop("the user ended the run"));
        while (true)
        {
            _vcpus.Reset(_plan.Boot?.Prepare(_board, _ram) ?? BootState.ResetVector());
            _events.Write("machine.started", json => json.WriteString("boot", _plan.Boot is null ? "firmware" : "direct"));
            _supervision.Started();
            _vcpus.Resume();
            _requested.Wait();
            _vcpus.Stop();
            _supervision.Ended();
            (MachineRequest kind, int exitCode, string reason, bool failed) = TakeRequest();
            _events.Write(EventName(kind), json =>
            {
                json.WriteString("reason", reason);
                json.WriteNumber("code", exitCode);
            });
            if (kind != MachineRequest.Reset || !_config.Reboot)
            {
                ReportTotals();
                _screen.Capture();
                return new MachineOutcome(exitCode, reason, failed);
            }

            ResetAll();
        }
    }

    /// <summary>Ends the run from outside, as pulling the plug does.</summary>
    public void Stop(string reason) => Request(MachineRequest.Exit, 0, reason);

    // The guest did what the user wanted to know of: as a failure of the host's, the sentence reaches the user.
    private void Fail(string reason) => Request(new Pending(MachineRequest.Exit, ApertureException.HostFailure, reason, Failed: true));

    /// <summary>Presses the power button: a guest with ACPI shuts down by itself.</summary>
    public void PressPowerButton() => _board.PowerManagement.PressPowerButton();

    /// <inheritdoc/>
    public void Request(MachineRequest request, int exitCode, string reason) => Request(new Pending(request, exitCode, reason, Failed: false));

    private void Request(Pending request)
    {
        lock (_requestGate)
        {
            if (_request is { } earlier && (earlier.Kind != MachineRequest.Reset || request.Kind == MachineRequest.Reset))
            {
                return;
            }

            _request = request;
        }

        // On a vCPU's thread this keeps that vCPU from entering the guest again, so nothing runs after the request.
        _vcpus.RequestStop();
        _requested.Set();
    }

    /// <inheritdoc/>
    void IMsiSink.Send(Bdf requester, MsiMessage message) => _vm.SignalMsi(message);

    /// <inheritdoc/>
    public void Dispose()
    {
        while (_parts.TryPop(out IDisposable? part))
        {
            part.Dispose();
        }

        _requested.Dispose();
    }

    private static string EventName(MachineRequest kind) => kind switch
    {
        MachineRequest.Reset => "guest.reset",
        MachineRequest.PowerOff => "guest.poweroff",
        _ => "machine.exit",
    };

    private T Own<T>(T part)
        where T : IDisposable
    {
        _parts.Push(part);
        return part;
    }

    private void ResetAll()
    {
        _supervision.Reset();
        _board.Reset();
        _vm.ResetInterruptControllers();
        lock (_requestGate)
        {
            // Whoever asked for the end meanwhile still gets it.
            if (_request is { Kind: MachineRequest.Reset })
            {
                _request = null;
                _requested.Reset();
            }
        }
    }

    private Pending TakeRequest()
    {
        lock (_requestGate)
        {
            return _request!.Value;
        }
    }

    private static KvmSystem? OpenKvm(out ApertureException? missing)
    {
        try
        {
            missing = null;
            return KvmSystem.Open();
        }
        catch (ApertureException failure)
        {
            missing = failure;
            return null;
        }
    }

    private VcpuAction Stopped(VcpuStop stop)
    {
        switch (stop.Kind)
        {
            case VcpuStopKind.Shutdown:
                Request(MachineRequest.Reset, 0, stop.Sentence);
                break;
            case VcpuStopKind.SystemEvent:
                Request(MachineRequest.PowerOff, 0, stop.Sentence);
                break;
            default:
                Request(new Pending(MachineRequest.Exit, ApertureException.HostFailure, stop.Sentence, Failed: true));
                break;
        }

        return VcpuAction.Park;
    }

    private void ReportTotals()
    {
        _events.Write("machine.totals", json =>
        {
            json.WriteNumber("exits", _vcpus.Vcpus.Sum(v => v.ExitCount));
            json.WriteNumber("unclaimed_memory", _board.Unclaimed.Total);
            json.WriteNumber("unclaimed_ports", _board.UnclaimedPorts.Total);
            json.WriteNumber("dropped_messages", _vm.DroppedMessages);
            WriteKernelCounts(json);
        });
    }

    // Exits that the kernel served are in these too.
    private void WriteKernelCounts(Utf8JsonWriter json)
    {
        Dictionary<string, ulong> sums = new(StringComparer.Ordinal);
        foreach ((string name, ulong count) in _vcpus.Vcpus.SelectMany(v => v.Statistics).Where(c => c.Key.EndsWith("exits", StringComparison.Ordinal) || c.Key == "insn_emulation"))
        {
            sums[name] = sums.GetValueOrDefault(name) + count;
        }

        json.WriteStartObject("kernel");
        foreach ((string name, ulong count) in sums.OrderBy(c => c.Key, StringComparer.Ordinal))
        {
            json.WriteNumber(name, count);
        }

        json.WriteEndObject();
    }

    /// <summary>Takes every BAR from the guest and the devices' DMA mappings, and resets the devices.</summary>
    private sealed class Quiescence(PciBoard board, HostDevices devices) : IDisposable
    {
        public void Dispose()
        {
            if (devices.Iommu is not null)
            {
                board.Reset();
            }
        }
    }

    private readonly record struct Pending(MachineRequest Kind, int ExitCode, string Reason, bool Failed);
}
