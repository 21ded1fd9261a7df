using System.Text.Json;
using Aperture.Board;
using Aperture.Configuration;
using Aperture.Hypervisor;
using Aperture.Linux;
using Aperture.Machine.Control;
using Aperture.Machine.Verification;
using Aperture.Watch;

namespace Aperture.Machine;

/// <summary>
/// A machine's life: it runs, is reset, is stopped, ends. Where the vCPUs are not this machine's, whoever has them starts them, and a reset ends the run.
/// </summary>
public sealed class VirtualMachine : IMachineControl, IDisposable
{
    private readonly OwnedParts _owned;
    private readonly MachineParts _parts;
    private readonly IVcpus? _vcpus;

    private VirtualMachine(MachineParts parts, OwnedParts owned)
    {
        _parts = parts;
        _owned = owned;
        _vcpus = parts.Exits.Vcpus;
    }

    /// <summary>The board, for who looks at the guest from outside.</summary>
    internal PciBoard Board => _parts.Board;

    /// <summary>What the machine has now.</summary>
    internal MapFindings Find() => _parts.Supervision.Find();

    /// <summary>
    /// Makes the machine, stopped, on this host's hypervisor. Checks everything that can be checked without running the guest, the command line before the
    /// host; a failure leaves nothing behind.
    /// </summary>
    /// <param name="config">What to make.</param>
    /// <param name="clock">Time.</param>
    /// <param name="events">Where what happens to the machine is told, from its making on; null when the events file is all that watches.</param>
    /// <param name="cancellation">Ends the wait for somebody who reads a pipe that the machine is to write; also a wait while it runs.</param>
    /// <exception cref="ApertureException">The configuration contradicts itself, the host, or the address map; or the host refuses.</exception>
    /// <exception cref="OperationCanceledException">The wait for a pipe's reader was cancelled.</exception>
    public static VirtualMachine Create(MachineConfig config, TimeProvider clock, EventHub? events = null, CancellationToken cancellation = default) =>
        Create(config, clock, Hypervisors.Open(config), events, cancellation);

    /// <summary>As the other overload, on <paramref name="hypervisor"/>, which the machine takes over.</summary>
    /// <exception cref="ApertureException">As there.</exception>
    /// <exception cref="OperationCanceledException">As there.</exception>
    public static VirtualMachine Create(
        MachineConfig config, TimeProvider clock, IHypervisor hypervisor, EventHub? events = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(hypervisor);
        OwnedParts owned = new();
        try
        {
            owned.Own(hypervisor);
            HypervisorStart start = owned.Own(new HypervisorStart(hypervisor));
            MachinePlan plan = owned.Own(MachinePlan.Create(config, hypervisor.Limits));
            EventHub hub = events ?? new EventHub(clock);
            OutputFiles files = new(sentence => hub.Notice("output.waits", sentence), cancellation);
            return new VirtualMachine(MachineAssembly.Assemble(plan, start, clock, hub, files, owned), owned);
        }
        catch
        {
            owned.Dispose();
            throw;
        }
    }

    /// <summary>Runs the guest until it powers off, exits, fails, or <see cref="Stop"/> is called.</summary>
    /// <exception cref="ApertureException">The host failed.</exception>
    /// <exception cref="OperationCanceledException">The wait for who reads the picture of the screen was cancelled.</exception>
    public MachineOutcome Run()
    {
        _parts.Serial.StartInput(_parts.Made.Console, () => Stop("the user ended the run"));
        while (true)
        {
            EntryState boot = _parts.Plan.Boot?.Prepare(_parts.Board, _parts.Ram) ?? _parts.Plan.Kind.FirmwareEntry;
            _vcpus?.Reset(boot);
            _parts.Events.Write("machine.started", json => json.WriteString("boot", _parts.Plan.Boot is null ? "firmware" : "direct"));
            _parts.Supervision.Started();
            _vcpus?.Resume();
            _parts.Requests.Wait();
            _vcpus?.Stop();
            _parts.Supervision.Ended();
            (MachineRequest kind, int exitCode, string reason, bool failed) = _parts.Requests.Current();
            _parts.Events.Write(EventName(kind), json =>
            {
                json.WriteString("reason", reason);
                json.WriteNumber("code", exitCode);
            });
            if (kind != MachineRequest.Reset || !_parts.Plan.Config.Reboot || _vcpus is null)
            {
                ReportTotals();
                _parts.Events.Flush();
                _parts.Screen.Capture();
                return new MachineOutcome(exitCode, reason, failed);
            }

            Reset();
        }
    }

    /// <summary>Ends the run from outside, as pulling the plug does.</summary>
    public void Stop(string reason) => _parts.Requests.Stop(reason);

    /// <inheritdoc/>
    public void Request(MachineRequest request, int exitCode, string reason) => _parts.Requests.Request(request, exitCode, reason);

    /// <inheritdoc/>
    public void Dispose() => _owned.Dispose();

    private static string EventName(MachineRequest kind) => kind switch
    {
        MachineRequest.Reset => "guest.reset",
        MachineRequest.PowerOff => "guest.poweroff",
        _ => "machine.exit",
    };

    private void Reset()
    {
        _parts.Supervision.Reset();
        _parts.Board.Reset();
        _parts.Vm.ResetInterruptControllers();
        _parts.Requests.ResetDone();
    }

    private void ReportTotals()
    {
        _parts.Events.Write("machine.totals", json =>
        {
            json.WriteNumber("exits", _parts.Exits.Count);
            json.WriteNumber("unclaimed_memory", _parts.Board.Unclaimed.Total);
            json.WriteNumber("unclaimed_ports", _parts.Board.UnclaimedPorts.Total);
            json.WriteNumber("dropped_messages", _parts.Vm.DroppedMessages);
            json.WriteCounts(_parts.Board);
            WriteHypervisorCounts(json);
        });
    }

    private void WriteHypervisorCounts(Utf8JsonWriter json)
    {
        json.WriteStartObject("kernel");
        foreach ((string name, ulong count) in _parts.Exits.HypervisorCounts.OrderBy(c => c.Key, StringComparer.Ordinal))
        {
            json.WriteNumber(name, count);
        }

        json.WriteEndObject();
    }
}
