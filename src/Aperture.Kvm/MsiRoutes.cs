using System.Runtime.InteropServices;
using Aperture.Linux;
using Aperture.Linux.Kvm;

namespace Aperture.Kvm;

/// <summary>
/// Where interrupt numbers (GSIs) go (KVM API 4.52). Numbers 0 to 23 are the pins of the I/O APIC, 0 to 15 of them also the PICs'; numbers from 24 are
/// handed out for messages, to be tied to an event descriptor with <see cref="KvmVm.AddIrqfd"/>. Thread-safe. KVM only takes whole tables, so
/// several changes are made between <see cref="BeginBatch"/> and its disposal, which tells KVM once.
/// </summary>
public sealed class MsiRoutes
{
    private const int Pins = 24;

    // KVM_IRQ_ROUTING_IRQCHIP and KVM_IRQ_ROUTING_MSI of linux/kvm.h.
    private const uint ToPin = 1;
    private const uint ToMessage = 2;

    private readonly Lock _lock = new();
    private readonly int _capacity;
    private readonly Action<ReadOnlySpan<KvmIrqRoutingEntry>> _apply;
    private readonly List<Route> _messages = []; // by rising number
    private int _batches;
    private bool _changed;

    /// <summary>Makes the table of a VM that takes <paramref name="capacity"/> routes and is told of it through <paramref name="apply"/>.</summary>
    internal MsiRoutes(int capacity, Action<ReadOnlySpan<KvmIrqRoutingEntry>> apply)
    {
        _capacity = capacity;
        _apply = apply;
    }

    /// <summary>How many interrupt numbers for messages there can be.</summary>
    public int Capacity => Math.Max(0, _capacity - PinRoutes().Count);

    /// <summary>Takes a free number for a message; it goes nowhere until <see cref="Set"/>.</summary>
    /// <exception cref="ApertureException">All are taken.</exception>
    public uint Allocate()
    {
        lock (_lock)
        {
            if (_messages.Count >= Capacity)
            {
                throw KvmSystem.Failure($"all {Capacity} message interrupt routes of this VM are taken; give devices fewer MSI-X vectors.");
            }

            int free = 0;
            while (free < _messages.Count && _messages[free].Gsi == Pins + free)
            {
                free++;
            }

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

    /// <summary>Gives <paramref name="gsi"/> back.</summary>
    /// <exception cref="LinuxException">KVM refused the table; outside a batch only.</exception>
    public void Free(uint gsi)
    {
        lock (_lock)
        {
            int index = IndexOf(gsi);
            MsiMessage? message = _messages[index].Message;
            _messages.RemoveAt(index);
            if (message is not null)
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

    private static List<KvmIrqRoutingEntry> PinRoutes()
    {
        List<KvmIrqRoutingEntry> routes = [];
        for (uint pin = 0; pin < Pins; pin++)
        {
            // Pin 2 of the first PIC is taken by the second PIC. The interval timer raises GSI 0, which a PC wires to pin 2 of the I/O APIC
            // (the MADT's interrupt source override tells the guest so), so GSI 2 goes nowhere.
            if (pin is < 16 and not 2)
            {
                routes.Add(new KvmIrqRoutingEntry { Gsi = pin, Type = ToPin, Irqchip = pin / 8, Pin = pin % 8 });
            }

            if (pin != 2)
            {
                routes.Add(new KvmIrqRoutingEntry { Gsi = pin, Type = ToPin, Irqchip = 2, Pin = pin == 0 ? 2 : pin });
            }
        }

        return routes;
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
        List<KvmIrqRoutingEntry> table = PinRoutes();
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
