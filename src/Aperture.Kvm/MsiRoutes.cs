using System.Runtime.InteropServices;
using Aperture.Linux;
using Aperture.Linux.Kvm;

namespace Aperture.Kvm;

/// <summary>
/// Where interrupt numbers (GSIs) go (KVM API 4.52). The first numbers are the inputs of the interrupt controllers (on a PC 0 to 23); those behind them are
/// handed out for messages and level-triggered events, to be tied to an event descriptor with <see cref="KvmVm.AddIrqfd"/>. Thread-safe. KVM only takes
/// whole tables, so several changes are made between <see cref="BeginBatch"/> and its disposal, which tells KVM once.
/// </summary>
public sealed class MsiRoutes
{
    // KVM_IRQ_ROUTING_MSI of linux/kvm.h.
    private const uint ToMessage = 2;

    private readonly Lock _lock = new();
    private readonly InterruptInputs _inputs;
    private readonly int _capacity;
    private readonly Action<ReadOnlySpan<KvmIrqRoutingEntry>> _apply;
    private readonly List<Route> _messages = []; // by rising number
    private readonly List<Wire> _wires = [];
    private int _batches;
    private bool _changed;

    /// <summary>
    /// Makes the table of a VM with <paramref name="inputs"/> that takes <paramref name="capacity"/> routes and is told of it through <paramref name="apply"/>.
    /// </summary>
    internal MsiRoutes(InterruptInputs inputs, int capacity, Action<ReadOnlySpan<KvmIrqRoutingEntry>> apply)
    {
        _inputs = inputs;
        _capacity = capacity;
        _apply = apply;
    }

    /// <summary>How many interrupt numbers for messages there can be.</summary>
    public int Capacity => Math.Max(0, _capacity - _inputs.Routes.Count);

    /// <summary>Takes a free number for a message, to be tied after <see cref="Set"/> said where it goes.</summary>
    /// <exception cref="ApertureException">All are taken.</exception>
    public uint Allocate()
    {
        lock (_lock)
        {
            if (_messages.Count >= Capacity)
            {
                throw KvmSystem.Failure($"all {Capacity} message interrupt routes of this VM are taken; give devices fewer MSI-X vectors.");
            }

            int free = FirstGap();
            Route route = new((uint)(_inputs.Count + free));
            _messages.Insert(free, route);
            return route.Gsi;
        }
    }

    /// <summary>
    /// Sends <paramref name="gsi"/>, which <see cref="Allocate"/> gave, to <paramref name="message"/>; null: nowhere. Controllers that ask who sends it are
    /// told <paramref name="deviceId"/>.
    /// </summary>
    /// <exception cref="LinuxException">KVM refused the table; outside a batch only.</exception>
    public void Set(uint gsi, MsiMessage? message, uint? deviceId = null)
    {
        lock (_lock)
        {
            Route route = _messages[IndexOf(gsi)];
            if (route.Message != message || route.DeviceId != deviceId)
            {
                route.Message = message;
                route.DeviceId = deviceId;
                Changed();
            }
        }
    }

    /// <summary>
    /// Gives <paramref name="gsi"/> back, to which nothing is tied any more. KVM keeps its route until the next change, which costs nobody anything: a table
    /// for each number that is freed would make freeing all of them cost their square.
    /// </summary>
    public void Free(uint gsi)
    {
        lock (_lock)
        {
            _messages.RemoveAt(IndexOf(gsi));
        }
    }

    /// <summary>
    /// The number by which a level-triggered event raises pin <paramref name="gsi"/> of the I/O APIC and, as a chipset's route register can say, input
    /// <paramref name="isa"/> of the PICs as well. All events of a pin share it, because KVM tells one number only of the end of an interrupt at a pin; it is
    /// not <paramref name="gsi"/> itself, because that is also set by this process, whose level at the PICs' input would then be two levels. The input last
    /// asked for counts. Each call is taken back by one <see cref="LeaveWire"/>. Null when it cannot be: no number is left, another pin has the input, or this
    /// architecture's controllers take no such events.
    /// </summary>
    public uint? JoinWire(uint gsi, uint? isa)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(gsi, (uint)_inputs.Count);
        lock (_lock)
        {
            if (!_inputs.TakesLevelEvents || isa is 2 or >= 16 || (isa is not null && _wires.Exists(w => w.Pin != gsi && w.Isa == isa)))
            {
                return null;
            }

            Wire? wire = _wires.Find(w => w.Pin == gsi);
            if (wire is null && _messages.Count >= Capacity)
            {
                return null;
            }

            if (wire is null)
            {
                _wires.Add(wire = new Wire(gsi, Allocate()));
                _changed = true;
            }

            wire.Users++;
            return (!_changed && wire.Isa == isa) || TrySet(wire, isa) ? wire.Number : null;
        }
    }

    /// <summary>Takes one <see cref="JoinWire"/> back; what was tied to the number is untied.</summary>
    /// <exception cref="LinuxException">KVM refused the table; outside a batch only.</exception>
    public void LeaveWire(uint gsi)
    {
        lock (_lock)
        {
            Wire wire = _wires.Find(w => w.Pin == gsi) ?? throw new ArgumentOutOfRangeException(nameof(gsi), gsi, "not a wired pin");
            if (Leave(wire))
            {
                Changed();
            }
        }
    }

    /// <summary>Tells KVM of the table as it is.</summary>
    /// <exception cref="LinuxException">KVM refused the table.</exception>
    internal void ApplyNow()
    {
        lock (_lock)
        {
            Apply();
        }
    }

    /// <summary>Holds changes back until the returned batch is disposed; batches may nest, the last one tells KVM.</summary>
    public IDisposable BeginBatch()
    {
        lock (_lock)
        {
            _batches++;
        }

        return new Batch(this);
    }

    private bool TrySet(Wire wire, uint? isa)
    {
        uint? before = wire.Isa;
        wire.Isa = isa;
        try
        {
            Changed();
            return true;
        }
        catch (LinuxException)
        {
            wire.Isa = before;
            Leave(wire);
            return false;
        }
    }

    private bool Leave(Wire wire)
    {
        if (--wire.Users != 0)
        {
            return false;
        }

        _wires.Remove(wire);
        Free(wire.Number);
        return true;
    }

    // How many numbers stand where they say, from the first on: behind them is the lowest free one.
    private int FirstGap()
    {
        int low = 0;
        int high = _messages.Count;
        while (low < high)
        {
            int middle = (low + high) >>> 1;
            (low, high) = _messages[middle].Gsi == _inputs.Count + middle ? (middle + 1, high) : (low, middle);
        }

        return low;
    }

    private int IndexOf(uint gsi)
    {
        // Numbers are given out from below, so all but those after a freed one stand where their number says.
        int index = (int)Math.Min(gsi - (long)_inputs.Count, _messages.Count - 1);
        while (index >= 0 && _messages[index].Gsi > gsi)
        {
            index--;
        }

        return index >= 0 && _messages[index].Gsi == gsi
            ? index
            : throw new ArgumentOutOfRangeException(nameof(gsi), gsi, "not an allocated number");
    }

    private void Changed()
    {
        _changed = true;
        if (_batches == 0)
        {
            Apply();
        }
    }

    private void Apply()
    {
        // Of several numbers at one pin the last one is told of the end of an interrupt: the wires' are behind the pins'.
        List<KvmIrqRoutingEntry> table = [.. _inputs.Routes];
        foreach (Wire wire in _wires)
        {
            table.AddRange(_inputs.Wire(wire.Number, wire.Pin, wire.Isa));
        }

        foreach (Route route in _messages)
        {
            if (route.Message is { } target)
            {
                table.Add(new KvmIrqRoutingEntry
                {
                    Gsi = route.Gsi,
                    Type = ToMessage,
                    Flags = route.DeviceId is null ? 0 : KvmArm64.MessageHasDeviceId,
                    MsiAddressLow = (uint)target.Address.Value,
                    MsiAddressHigh = (uint)(target.Address.Value >> 32),
                    MsiData = target.Data,
                    MsiDeviceId = route.DeviceId ?? 0,
                });
            }
        }

        _apply(CollectionsMarshal.AsSpan(table));
        _changed = false;
    }

    private sealed class Route(uint gsi)
    {
        public uint Gsi { get; } = gsi;

        public MsiMessage? Message { get; set; }

        public uint? DeviceId { get; set; }
    }

    // The number is one of the messages', with no message.
    private sealed class Wire(uint pin, uint number)
    {
        public uint Pin { get; } = pin;

        public uint Number { get; } = number;

        public uint? Isa { get; set; }

        public int Users { get; set; }
    }

    private sealed class Batch(MsiRoutes owner) : IDisposable
    {
        private MsiRoutes? _owner = owner;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _owner, null) is not { } routes)
            {
                return;
            }

            lock (routes._lock)
            {
                if (--routes._batches == 0 && routes._changed)
                {
                    routes.Apply();
                }
            }
        }
    }
}
