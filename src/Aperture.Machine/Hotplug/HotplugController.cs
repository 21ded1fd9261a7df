using System.Text.Json;
using Aperture.Board;
using Aperture.Configuration;
using Aperture.Configuration.Kinds;
using Aperture.Machine.Assigned;
using Aperture.Machine.Functions;
using Aperture.Machine.Topology;
using Aperture.Pci;
using Aperture.Pci.Ports;

namespace Aperture.Machine.Hotplug;

/// <summary>
/// Devices that come and go while the guest runs, through the slots of root and downstream ports (PCI Express 5.0, section 6.7). Attaching tells the guest by
/// the port's interrupt. Detaching presses the slot's button; the device leaves once the guest turned its power off.
/// </summary>
internal sealed class HotplugController : IConfigWriteSink
{
    private readonly PciBoard _board;
    private readonly BoardNodes _nodes;
    private readonly IEventSink _events;
    private readonly MachineConfig _config;

    // One attach or removal at a time. Taken before the hierarchy's lock, never with it held.
    private readonly Lock _gate = new();
    private bool _ended;

    private readonly Action<Action> _queue;

    // With the hierarchy's lock: the slots that are to be emptied.
    private readonly Dictionary<PcieSlotPort, Removal> _asked = [];

    /// <summary>
    /// Makes the controller of <paramref name="board"/>; <paramref name="nodes"/> says in its terms what is attached. <paramref name="queue"/> runs what must
    /// not be done on a vCPU's thread; null for the thread pool.
    /// </summary>
    public HotplugController(PciBoard board, BoardNodes nodes, MachineConfig config, IEventSink events, Action<Action>? queue = null)
    {
        _queue = queue ?? (static work => ThreadPool.UnsafeQueueUserWorkItem(static work => work(), work, preferLocal: false));
        _board = board;
        _nodes = nodes;
        _config = config;
        _events = events;
    }

    /// <summary>Called after a function was added.</summary>
    public Action<PciFunction>? Added { get; set; }

    /// <summary>Called after a function was taken out.</summary>
    public Action<PciFunction>? Removed { get; set; }

    /// <summary>Told one sentence when a removal that the guest let begin failed by a fault of this program; null: the process ends then.</summary>
    public Action<string>? Faulted { get; set; }

    /// <summary>Adds the device that <paramref name="spec"/> describes as <c>--device</c> would; its <c>port=</c> names an empty slot. Any thread.</summary>
    /// <returns>The function, in the slot; the guest has been told.</returns>
    /// <exception cref="ApertureException">It cannot be; one sentence, reported as an event too.</exception>
    public PciFunction Attach(string spec)
    {
        try
        {
            lock (_gate)
            {
                return AttachNow(spec);
            }
        }
        catch (ApertureException refused)
        {
            Refuse(spec, refused.Message);
            throw;
        }
    }

    /// <summary>
    /// Asks the guest to let go of what is in the slot of <paramref name="id"/>, or takes it out at once (<paramref name="surprise"/>). Any thread.
    /// </summary>
    /// <returns>Ends when the slot is empty; as a failure when the guest takes the request back, and the device stays.</returns>
    /// <exception cref="ApertureException">There is no such device, or it is not in a slot.</exception>
    public Task Detach(string id, bool surprise)
    {
        PciFunction function;
        lock (_board.Pci.Sync)
        {
            function = _board.Pci.Functions.FirstOrDefault(f => f.Name == id) ?? throw NotThere(id);
        }

        return Detach(function, surprise);
    }

    /// <summary>As the other overload, for this function and none that has its name later.</summary>
    /// <exception cref="ApertureException">As there.</exception>
    public Task Detach(PciFunction function, bool surprise)
    {
        Removal removal;
        lock (_board.Pci.Sync)
        {
            PcieSlotPort port = SlotOf(function);
            if (!_asked.TryGetValue(port, out removal!))
            {
                removal = new Removal(port);
                _asked.Add(port, removal);
            }

            surprise |= port.IsReleased;

            // While the guest is about to turn the power off, a press would take the request back.
            removal.HasBegun |= IsLettingGo(port);
            if (!surprise && !removal.HasBegun)
            {
                _events.Write("hotplug.requested", json => Describe(json, function.Name, port));
                port.PressAttentionButton();
            }
        }

        if (surprise)
        {
            Empty(removal, always: true);
        }

        return removal.Done.Task;
    }

    /// <summary>
    /// Takes out at once what sits in no slot: its place reads all-ones from then on, and what it decoded is gone. Any thread, without the hierarchy's lock.
    /// </summary>
    public void Withdraw(PciFunction function)
    {
        ApertureException? failure;
        lock (_gate)
        {
            failure = TakeOut(function, null, orderly: false);
        }

        if (failure is not null)
        {
            throw failure;
        }
    }

    /// <summary>The guest's reset: what it was asked to let go of it does not use any more. With the vCPUs stopped.</summary>
    public void Reset()
    {
        Removal[] removals;
        lock (_board.Pci.Sync)
        {
            removals = [.. _asked.Values];
        }

        foreach (Removal removal in removals)
        {
            Empty(removal, always: true);
        }
    }

    /// <summary>The machine ends: waits for a removal that is being made, and makes none after it.</summary>
    public void End()
    {
        lock (_gate)
        {
            _ended = true;
        }
    }

    /// <inheritdoc/>
    public void Written(PciFunction function, ConfigChange change, int offset, int size, uint value)
    {
        if ((change & ConfigChange.SlotControl) == 0 || function is not PcieSlotPort port || !_asked.TryGetValue(port, out Removal? removal))
        {
            return;
        }

        if (port.IsReleased)
        {
            // Not here: giving a device back may take long, and this is a vCPU with the lock held. The slot has no power, so nothing reaches it meanwhile.
            // Once, however often the guest writes before that is done.
            if (!removal.IsQueued)
            {
                removal.IsQueued = true;
                _queue(() => EmptyQueued(removal));
            }
        }
        else if (IsLettingGo(port))
        {
            removal.HasBegun = true;
        }
        else if (removal.HasBegun && port.IsPowered)
        {
            // Power stays on and its indicator does not blink any more: the guest took the request back (section 6.7.1.5), after a second press or by itself.
            TakeBack(removal);
        }
    }

    private static bool IsLettingGo(PcieSlotPort port) => port is { IsPowered: true, IsPowerBlinking: true };

    // With the hierarchy's lock.
    private void TakeBack(Removal removal)
    {
        _asked.Remove(removal.Port);
        string names = string.Join(", ", removal.Functions.Select(f => f.Name));
        _events.Write("hotplug.cancelled", json => Describe(json, names, removal.Port));
        removal.Done.TrySetException(
            new ApertureException($"{names} stays: the guest took the removal back; ask again, or pull the device out with --surprise."));
    }

    private void EmptyQueued(Removal removal)
    {
        try
        {
            Empty(removal, always: false);
        }
        catch (Exception fault) when (Faulted is not null)
        {
            Faulted($"the removal from {removal.Port.Name} failed, which is a fault of this program: {fault}");
        }
    }

    private void Refuse(string device, string reason) => _events.Write("hotplug.refused", json =>
    {
        json.WriteString("device", device);
        json.WriteString("reason", reason);
    });

    private static void Describe(Utf8JsonWriter json, string id, PcieSlotPort? port)
    {
        json.WriteString("function", id);
        if (port is not null)
        {
            json.WriteString("port", port.Name);
        }
    }

    private PciFunction AttachNow(string spec)
    {
        PciDeviceSpec device = ConfigReader.ReadDevice(spec);
        string portName = device.Port
            ?? throw new ApertureException($"--device {spec}: a device is attached to a port; say which with port=ID.");
        PcieSlotPort port = FindPort(portName);
        CheckDescriptor(device);

        // The same reader as at start, for a machine that has nothing but the port.
        TopologyNode node = TopologyBuilder.Build(
            _config with { RootPorts = [new RootPortConfig(portName, null)], Switches = [], Devices = [device], Mirror = null })
            .Single(n => n.Name == portName).Children.Single();
        lock (_board.Pci.Sync)
        {
            if (port.IsOccupied)
            {
                throw new ApertureException(
                    $"{node.Name} cannot be attached to {portName}, where {port.Secondary.Functions[0].Name} is; detach that first, or name another port.");
            }

            if (_board.Pci.Functions.Any(f => f.Name == node.Name))
            {
                throw new ApertureException($"The id {node.Name} is taken; give the device another one.");
            }
        }

        PciFunction function = _board.Plug(port.Secondary, _nodes.Of(node));
        if (Misplaced(function, port) is { } sentence)
        {
            _board.Unplug(function);
            throw new ApertureException(sentence);
        }

        Added?.Invoke(function);
        _events.Write("hotplug.added", json =>
        {
            Describe(json, function.Name, port);
            json.WriteString("bdf", function.Bdf.ToString());
            if (PortCapacity.Shortage(function, port) is { } note)
            {
                json.WriteString("note", note);
            }
        });
        port.ReportPresenceChange();
        if (!port.IsPowered)
        {
            // An empty slot without power has no link to come up, and guests do not listen for presence where there is a button. As a person would:
            // put it in, press the button.
            port.PressAttentionButton();
        }

        return function;
    }

    // A number means a descriptor of this process, which the one that asks does not share.
    private static void CheckDescriptor(PciDeviceSpec device)
    {
        if (device is VfioSpec { Device.Descriptor: { } number } vfio)
        {
            try
            {
                SysfsDevice.AddressOf(vfio.Device);
            }
            catch (ApertureException fault)
            {
                throw new ApertureException(
                    $"fd={number} cannot be attached: the machine has no such descriptor of /dev/vfio/devices/vfioN, and attach passes none on; "
                        + "name the device with host= or sysfs=.",
                    innerException: fault);
            }
        }
    }

    // The port's windows are the guest's: what it does not forward now, no driver will reach at its pin.
    private static string? Misplaced(PciFunction function, PcieSlotPort port)
    {
        foreach (Bar bar in function.Bars)
        {
            if (bar.Pin is not { } pin)
            {
                continue;
            }

            AddressRange range = new(pin, bar.FullSize);
            BridgeWindow[] windows = bar.Kind == BarKind.Io ? [BridgeWindow.Io] : [BridgeWindow.Memory, BridgeWindow.Prefetchable];
            if (!windows.Any(w => port.Window(w) is { } window && window.Contains(range)))
            {
                string open = string.Join(" and ", windows.Select(w => port.Window(w)).OfType<AddressRange>());
                return $"{function.Name} {bar.Name} cannot be pinned at {range}: {port.Name} forwards {(open.Length > 0 ? open : "nothing")}; keep room there "
                    + "with prefetchable=BASE:SIZE or memory=BASE:SIZE of --root-port.";
            }
        }

        return null;
    }

    private PcieSlotPort FindPort(string name)
    {
        lock (_board.Pci.Sync)
        {
            PciFunction? found = _board.Pci.Functions.FirstOrDefault(f => f.Name == name);
            string ports = string.Join(", ", _board.Pci.Functions.OfType<PcieSlotPort>().Where(p => !p.IsOccupied).Select(p => p.Name));
            return found as PcieSlotPort ?? throw new ApertureException(
                $"{name} is {(found is null ? "not there" : "not a port with a slot")}; "
                    + $"{(ports.Length > 0 ? $"empty ports are {ports}" : "no port is empty: start the machine with --root-port id=ID")}.");
        }
    }

    private static ApertureException NotThere(string id) => new($"There is no device {id}.");

    private static PcieSlotPort SlotOf(PciFunction function) => function.Bus is not { } bus
        ? throw NotThere(function.Name)
        : bus.Parent as PcieSlotPort
        ?? throw new ApertureException(
            $"{function.Name} sits {(bus.Parent is { } bridge ? $"below {bridge.Name}" : "on the root bus")}, which is not a slot: only what is below a "
                + "root port or a switch's downstream port can be detached.");

    // Only what was asked for: not what came into the slot since, when another removal was faster. Not always: only if the guest still has the power off.
    private void Empty(Removal removal, bool always)
    {
        PcieSlotPort port = removal.Port;
        lock (_gate)
        {
            if (_ended)
            {
                return;
            }

            bool orderly;
            lock (_board.Pci.Sync)
            {
                removal.IsQueued = false;
                orderly = port.IsReleased;
                if (!_asked.TryGetValue(port, out Removal? asked) || asked != removal || (!always && !orderly))
                {
                    return;
                }
            }

            ApertureException? failure = null;
            foreach (PciFunction function in removal.Functions)
            {
                failure = TakeOut(function, port, orderly) ?? failure;
            }

            port.ReportPresenceChange();

            // With the gate held: nothing is attached before the request is gone.
            lock (_board.Pci.Sync)
            {
                _asked.Remove(port);
            }

            _ = failure is null ? removal.Done.TrySetResult() : removal.Done.TrySetException(failure);
        }
    }

    private ApertureException? TakeOut(PciFunction function, PcieSlotPort? port, bool orderly)
    {
        ApertureException? failure = null;
        try
        {
            _board.Unplug(function);
        }
        catch (ApertureException fault)
        {
            // The host did not take something back; the guest has lost the device all the same.
            failure = fault;
        }

        _events.Write("hotplug.removed", json =>
        {
            Describe(json, function.Name, port);
            json.WriteBoolean("orderly", orderly);
            if (failure is not null)
            {
                json.WriteString("failure", failure.Message);
            }
        });
        Removed?.Invoke(function);
        return failure;
    }

    /// <summary>What was asked of a slot: that <see cref="Functions"/> leave it. The rest is the hierarchy's lock's.</summary>
    private sealed class Removal(PcieSlotPort port)
    {
        public PcieSlotPort Port => port;

        public PciFunction[] Functions { get; } = [.. port.Secondary.Functions];

        public TaskCompletionSource Done { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        // The guest blinks the slot's power indicator, or did: it is about to turn the power off.
        public bool HasBegun { get; set; }

        // Waits for its turn outside the vCPU's thread.
        public bool IsQueued { get; set; }
    }
}
