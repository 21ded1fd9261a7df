using System.Text.Json;
using Aperture.Board;
using Aperture.Configuration;
using Aperture.Host.Model;
using Aperture.Machine.Functions;
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
    private readonly SlotInsertion _insertion;
    private readonly IEventSink _events;

    // One attach or removal at a time. Taken before the hierarchy's lock, never with it held.
    private readonly Lock _gate = new();
    private bool _ended;

    private readonly Action<Action> _queue;

    // With the hierarchy's lock: the slots that are to be emptied.
    private readonly Dictionary<PcieSlotPort, Removal> _asked = [];

    /// <summary>
    /// Makes the controller of <paramref name="board"/>; <paramref name="nodes"/> says in its terms what is attached. <paramref name="queue"/> runs what must
    /// not be done on a vCPU's thread; null for the thread pool. <paramref name="host"/> has the devices that are assigned; null for this host.
    /// </summary>
    public HotplugController(
        PciBoard board, BoardNodes nodes, MachineConfig config, IEventSink events, Action<Action>? queue = null, HostMachine? host = null)
    {
        _queue = queue ?? (static work => ThreadPool.UnsafeQueueUserWorkItem(static work => work(), work, preferLocal: false));
        _board = board;
        _insertion = new SlotInsertion(board, nodes, config, host);
        _events = events;
    }

    /// <summary>Called once all functions of an attachment are made, while the guest cannot see them yet; may throw, and then none is attached.</summary>
    public Action<IReadOnlyList<PciFunction>>? Made
    {
        get => _insertion.Made;
        set => _insertion.Made = value;
    }

    /// <summary>Called after a function was added.</summary>
    public Action<PciFunction>? Added { get; set; }

    /// <summary>Called after a function was taken out.</summary>
    public Action<PciFunction>? Removed { get; set; }

    /// <summary>Told of each function that is about to leave the board, while it is still there: from then on nothing may be promised of it.</summary>
    public Action<PciFunction>? Leaving { get; set; }

    /// <summary>Told one sentence when a removal that the guest let begin failed by a fault of this program; null: the process ends then.</summary>
    public Action<string>? Faulted { get; set; }

    /// <summary>
    /// Adds the devices that <paramref name="specs"/> describe as <c>--device</c> would, as functions of one slot; <c>port=</c> names an empty one. The guest
    /// is told once, when all are there; when one cannot be, none is. Any thread.
    /// </summary>
    /// <returns>The functions in the slot, function 0 first; the guest has been told.</returns>
    /// <exception cref="ApertureException">It cannot be; one sentence, reported as an event too.</exception>
    public IReadOnlyList<PciFunction> Attach(params IReadOnlyList<string> specs) => Attach(specs, new Dictionary<int, int>());

    /// <summary>
    /// As the other overload. What <c>fd=</c> says means, where <paramref name="descriptors"/> has that number, the descriptor of this process that stands
    /// there for it, and else one of this process.
    /// </summary>
    /// <exception cref="ApertureException">As there.</exception>
    public IReadOnlyList<PciFunction> Attach(IReadOnlyList<string> specs, IReadOnlyDictionary<int, int> descriptors)
    {
        try
        {
            lock (_gate)
            {
                return AttachNow(specs, descriptors);
            }
        }
        catch (ApertureException refused)
        {
            Refuse(string.Join(" ", specs), refused.Message);
            throw;
        }
    }

    /// <summary>
    /// Asks the guest to let go of what is in the slot of <paramref name="id"/>, all functions of it, or takes it out at once (<paramref name="surprise"/>).
    /// Any thread.
    /// </summary>
    /// <returns>Ends when the slot is empty, with what left it; as a failure when the guest takes the request back, and all stays.</returns>
    /// <exception cref="ApertureException">There is no such device, or it is not in a slot.</exception>
    public Task<IReadOnlyList<string>> Detach(string id, bool surprise)
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
    public Task<IReadOnlyList<string>> Detach(PciFunction function, bool surprise)
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
            failure = TakeOut([function], null, orderly: false);
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

    private IReadOnlyList<PciFunction> AttachNow(IReadOnlyList<string> specs, IReadOnlyDictionary<int, int> descriptors)
    {
        (PcieSlotPort port, IReadOnlyList<PciFunction> functions) = _insertion.Insert(specs, descriptors);
        string? note = PortCapacity.Shortage(functions, port);
        foreach (PciFunction function in functions)
        {
            Added?.Invoke(function);
            _events.Write("hotplug.added", json =>
            {
                Describe(json, function.Name, port);
                json.WriteString("bdf", function.Bdf.ToString());
                if (note is not null && function == functions[0])
                {
                    json.WriteString("note", note);
                }
            });
        }

        port.ReportPresenceChange();
        if (!port.IsPowered)
        {
            // An empty slot without power has no link to come up, and guests do not listen for presence where there is a button. As a person would:
            // put it in, press the button.
            port.PressAttentionButton();
        }

        return functions;
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

            ApertureException? failure = TakeOut(removal.Functions, port, orderly);
            port.ReportPresenceChange();

            // With the gate held: nothing is attached before the request is gone.
            lock (_board.Pci.Sync)
            {
                _asked.Remove(port);
            }

            _ = failure is null ? removal.Done.TrySetResult([.. removal.Functions.Select(f => f.Name)]) : removal.Done.TrySetException(failure);
        }
    }

    private ApertureException? TakeOut(IReadOnlyList<PciFunction> functions, PcieSlotPort? port, bool orderly)
    {
        ApertureException? failure = null;
        foreach (PciFunction function in functions)
        {
            Leaving?.Invoke(function);
        }

        try
        {
            _board.Unplug(functions);
        }
        catch (ApertureException fault)
        {
            // The host did not take something back; the guest has lost the devices all the same.
            failure = fault;
        }

        foreach (PciFunction function in functions)
        {
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
        }

        return failure;
    }

    /// <summary>What was asked of a slot: that <see cref="Functions"/> leave it. The rest is the hierarchy's lock's.</summary>
    private sealed class Removal(PcieSlotPort port)
    {
        public PcieSlotPort Port => port;

        public PciFunction[] Functions { get; } = [.. port.Secondary.Functions];

        public TaskCompletionSource<IReadOnlyList<string>> Done { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        // The guest blinks the slot's power indicator, or did: it is about to turn the power off.
        public bool HasBegun { get; set; }

        // Waits for its turn outside the vCPU's thread.
        public bool IsQueued { get; set; }
    }
}
