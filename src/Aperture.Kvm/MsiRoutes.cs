using System.Runtime.InteropServices;
using Aperture.Linux;
using Aperture.Linux.Kvm;

namespace Aperture.Kvm;

/// <summary>
/// Where interrupt numbers (GSIs) go (KVM API 4.52). Numbers 0 to 23 are the pins of the I/O APIC, 0 to 15 of them also the PICs'; numbers from 24 are
/// handed out for messages and level-triggered events, to be tied to an event descriptor with <see cref="KvmVm.AddIrqfd"/>. Thread-safe. KVM only takes
/// whole tables, so several changes are made between <see cref="BeginBatch"/> and its disposal, which tells KVM once.
/// </summary>
public sealed class MsiRoutes
{
    private const int Pins = 24;

    // KVM_IRQ_ROUTING_IRQCHIP and KVM_IRQ_ROUTING_MSI of linux/kvm.h.
    private const uint ToPin = 1;
    private const uint ToMessage = 2;

    private static readonly KvmIrqRoutingEntry[] OfPins = [.. PinRoutes()];

    private readonly Lock _lock = new();
    private readonly int _capacity;
    private readonly Action<ReadOnlySpan<KvmIrqRoutingEntry>> _apply;
    private readonly List<Route> _messages = []; // by rising number
    private readonly List<Wire> _wires = [];
    private int _batches;
    private bool _changed;

    /// <summary>Makes the table of a VM that takes <paramref name="capacity"/> routes and is told of it through <paramref name="apply"/>.</summary>
    internal MsiRoutes(int capacity, Action<ReadOnlySpan<KvmIrqRoutingEntry>> apply)
    {
        _capacity = capacity;
        _apply = apply;
    }

    /// <summary>How many interrupt numbers for messages there can be.</summary>
    public int Capacity => Math.Max(0, _capacity - OfPins.Length);

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
            Route route = new(Pins + (uint)free);
            _messages.Insert(free, route);
            return route.Gsi;
        }
    }

    /// <summary>Sends <paramref name="gsi"/>, which <see cref="Allocate"/> gave, to <paramref name="message"/>; null: nowhere.</summary>
    /// <exception cref="LinuxException">KVM refused the table; outside a batch only.</exception>
    public void Set(uint gsi, MsiMessage? message)
    {
        lock (_lock)
        {
            Route route = _messages[IndexOf(gsi)];
            if (route.Message != message)
            {
                route.Message = message;
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
    /// asked for counts. Each call is taken back by one <see cref="LeaveWire"/>. Null when it cannot be: no number is left, or another pin has the input.
    /// </summary>
    public uint? JoinWire(uint gsi, uint? isa)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(gsi, (uint)Pins);
        lock (_lock)
        {
            if (isa is 2 or >= 16 || (isa is not null && _wires.Exists(w => w.Pin != gsi && w.Isa == isa)))
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

    private static KvmIrqRoutingEntry ToPic(uint gsi, uint isa) => new() { Gsi = gsi, Type = ToPin, Irqchip = isa / 8, Pin = isa % 8 };

    private static List<KvmIrqRoutingEntry> PinRoutes()
    {
        List<KvmIrqRoutingEntry> routes = [];
        for (uint pin = 0; pin < Pins; pin++)
        {
            // Pin 2 of the first PIC is taken by the second PIC. The interval timer raises GSI 0, which a PC wires to pin 2 of the I/O APIC
            // (the MADT's interrupt source override tells the guest so), so GSI 2 goes nowhere.
            if (pin is < 16 and not 2)
            {
                routes.Add(ToPic(pin, pin));
            }

            if (pin != 2)
            {
                routes.Add(new KvmIrqRoutingEntry { Gsi = pin, Type = ToPin, Irqchip = 2, Pin = pin == 0 ? 2 : pin });
            }
        }

        return routes;
    }

    // How many numbers stand where they say, from the first on: behind them is the lowest free one.
    private int FirstGap()
    {
        int low = 0;
        int high = _messages.Count;
        while (low < high)
        {
            int middle = (low + high) >>> 1;
            (low, high) = _messages[middle].Gsi == Pins + middle ? (middle + 1, high) : (low, middle);
        }

        return low;
    }

    private int IndexOf(uint gsi)
    {
        // Numbers are given out from below, so all but those after a freed one stand where their number says.
        int index = (int)Math.Min(gsi - (long)Pins, _messages.Count - 1);
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
        List<KvmIrqRoutingEntry> table = [.. OfPins];
        foreach (Wire wire in _wires)
        {
            table.Add(new KvmIrqRoutingEntry { Gsi = wire.Number, Type = ToPin, Irqchip = 2, Pin = wire.Pin });
            if (wire.Isa is { } isa)
            {
                table.Add(ToPic(wire.Number, isa));
            }
        }

        foreach (Route route in _messages)
        {
            if (route.Message is { } target)
            {
                table.Add(new KvmIrqRoutingEntry
                {
                    Gsi = route.Gsi,
                    Type = ToMessage,
                    MsiAddressLow = (uint)target.Address.Value,
                    MsiAddressHigh = (uint)(target.Address.Value >> 32),
                    MsiData = target.Data,
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
