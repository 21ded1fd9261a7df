using System.Text.Json;
using Aperture.Board;
using Aperture.Machine.Assigned;
using Aperture.Machine.Functions;
using Aperture.Machine.Hotplug;
using Aperture.Machine.Verification;
using Aperture.Memory;
using Aperture.Pci;
using Aperture.Placement.Request;

namespace Aperture.Machine.Control;

/// <summary>
/// What watches over a running machine: the policies of its pins, the comparison of its map with its plan, devices that come and go, and the control
/// channel through which users ask for these.
/// </summary>
internal sealed class Supervision : IDisposable
{
    // In an event; the control channel gives all.
    private const int MaxDifferences = 64;

    private readonly IEventSink _events;
    private readonly MachineRequests _requests;
    private readonly WriteHistory _history;
    private readonly MapCollector _collector;
    private readonly BootWatch _boot;
    private readonly PinGuard _pins;
    private ControlServer? _server;

    // Replaced as a whole when functions come and go, which the hotplug controller serialises.
    private volatile MapPromises _promises;

    /// <summary>Starts watching.</summary>
    /// <param name="board">The board.</param>
    /// <param name="nodes">Who says in the board's terms what is attached.</param>
    /// <param name="slots">Its memory slots; null where the hypervisor has none.</param>
    /// <param name="plan">What was promised.</param>
    /// <param name="events">Where what is found is reported.</param>
    /// <param name="clock">Time.</param>
    /// <param name="requests">Takes what pins and the control channel ask of the machine.</param>
    /// <param name="iommu">What assigned devices reach; null without such devices.</param>
    public Supervision(
        PciBoard board,
        BoardNodes nodes,
        SlotListener? slots,
        MachinePlan plan,
        IEventSink events,
        TimeProvider clock,
        MachineRequests requests,
        IIommuMappings? iommu = null)
    {
        Board = board;
        _requests = requests;
        _events = events;
        _promises = MapPromises.Of(plan.Map, plan.Boot is not null, plan.Pins);
        _history = new WriteHistory(clock, events);
        _collector = new MapCollector(board, slots, _history, iommu);
        _pins = new PinGuard(() => board.Decode, events, requests.Fail);
        Hotplug = new HotplugController(board, nodes, plan.Config, events)
        {
            Added = Promise,
            Leaving = gone => _promises = _promises.Without(gone.Name),
            Faulted = requests.Fail,
        };
        _boot = new BootWatch(clock, () => board.IsHandedOver ? _history.LastWrite : 0, () => Verify("boot"));
        board.HandedOver += _history.Touch;
        board.AddWatcher(_history);
        board.AddWatcher(_pins);
        board.AddWatcher(Hotplug);
    }

    /// <summary>The board that is watched.</summary>
    public PciBoard Board { get; }

    /// <summary>Devices that come and go.</summary>
    public HotplugController Hotplug { get; }

    /// <summary>Opens the control channel.</summary>
    /// <exception cref="ApertureException">The socket cannot be made.</exception>
    public void Listen(string path, PassedDescriptors passed, Action pressPowerButton) =>
        _server = ControlServer.Open(path, new ControlCommands(this, _requests, passed, pressPowerButton));

    /// <summary>What the machine has now.</summary>
    public MapFindings Find() => _collector.Collect();

    /// <summary>Compares the machine with its plan and reports the result as an event.</summary>
    /// <param name="when">Why now: <c>boot</c>, <c>end</c> or <c>asked</c>.</param>
    public Comparison Verify(string when)
    {
        MapFindings found = _collector.Collect();
        MapPromise promise = _promises.At(found.IsHandedOver);
        IReadOnlyList<MapDifference> differences = MapVerifier.Compare(promise, found);
        Comparison result = new(differences, found.IsHandedOver || _promises.Pins == PinTiming.Always);
        _events.Write("map.verified", json =>
        {
            json.WriteString("when", when);
            json.WriteBoolean("handed_over", found.IsHandedOver);
            json.WriteNumber("functions", promise.Functions.Count);
            json.WriteDifferences(differences, MaxDifferences);
        });
        return result;
    }

    /// <summary>The guest starts.</summary>
    public void Started() => _boot.Start();

    /// <summary>The guest's run ended, the vCPUs are stopped: the map is compared a last time.</summary>
    public void Ended()
    {
        _boot.Stop();
        Verify("end");
    }

    /// <summary>The machine is about to be reset, with the vCPUs stopped.</summary>
    public void Reset()
    {
        Hotplug.Reset();
        lock (Board.Pci.Sync)
        {
            // A device's worker may still write configuration registers through the ECAM window.
            _history.Reset();
            _pins.Reset();
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _boot.Dispose();
        _server?.Dispose();
        Hotplug.End();
    }

    private void Promise(PciFunction function) =>
        _promises = _promises.With(
        function.Name, [.. function.Bars.Where(b => b.Pin is not null).Select(b => new BarPin(b.Index, b.Pin!.Value))]);
}

/// <summary>What a comparison of a machine with its plan gave.</summary>
/// <param name="Differences">Where they differ.</param>
/// <param name="HoldsPins">Pins are in force; false while they wait for the handover, when of the plan only RAM is promised.</param>
internal sealed record Comparison(IReadOnlyList<MapDifference> Differences, bool HoldsPins);

/// <summary>How differences look in events and answers.</summary>
internal static class DifferenceJson
{
    /// <summary>Writes their number and the first <paramref name="most"/> of them.</summary>
    public static void WriteDifferences(this Utf8JsonWriter json, IReadOnlyList<MapDifference> differences, int most = int.MaxValue)
    {
        json.WriteNumber("count", differences.Count);
        json.WriteStartArray("differences");
        foreach (MapDifference difference in differences.Take(most))
        {
            json.WriteStartObject();
            json.WriteString("kind", difference.Kind.ToString());
            json.WriteString("subject", difference.Subject);
            json.WriteString("promised", difference.Promised);
            json.WriteString("found", difference.Found);
            if (difference.MovedBy is { } by)
            {
                json.WriteString("moved_by", by);
            }

            json.WriteEndObject();
        }

        json.WriteEndArray();
    }
}
