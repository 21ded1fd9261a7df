namespace Aperture.Board.Pc;

/// <summary>
/// The PIRQ inputs of a PC's chipset: each goes to a pin of the I/O APIC of its own, and by its route register to an input of the 8259s, for guests without an
/// I/O APIC driver.
/// </summary>
internal sealed class PirqRouter : IIntxWiring, IMapPart
{
    private readonly IPcChipset _chipset;
    private readonly Pirq[] _pirqs;

    /// <summary>Makes the wires; every PIRQ's route to the 8259s is off.</summary>
    public PirqRouter(IPcChipset chipset, SharedLines lines)
    {
        _chipset = chipset;
        _pirqs = new Pirq[chipset.Wiring.Count];
        for (int i = 0; i < _pirqs.Length; i++)
        {
            _pirqs[i] = new Pirq(lines.Source(PirqWiring.Gsi(i)), lines);
        }
    }

    /// <inheritdoc/>
    public uint GsiOf(int device, int pin) => PirqWiring.Gsi(_chipset.Wiring.Pirq(device, pin));

    /// <inheritdoc/>
    public IInterruptLine LineOf(uint gsi) => _pirqs[gsi - PirqWiring.Gsi(0)];

    /// <inheritdoc/>
    public IDisposable? FollowIsa(uint gsi, Action<uint?> follower) => _pirqs[gsi - PirqWiring.Gsi(0)].Follow(follower);

    /// <summary>Brings the routes to the 8259s to what the route registers say. Changes no address.</summary>
    public void Update(MapChange change)
    {
        for (int i = 0; i < _pirqs.Length; i++)
        {
            _pirqs[i].Route(_chipset.RouteOf(i).IsaInterrupt);
        }
    }

    /// <summary>One PIRQ input: a wire to the I/O APIC and, when routed, an input of the 8259s.</summary>
    private sealed class Pirq(IInterruptLine apic, SharedLines lines) : IInterruptLine
    {
        private readonly Lock _gate = new();
        private bool _asserted;
        private uint? _route;
        private IInterruptLine? _isa;

        // Replaced as a whole, with the hierarchy's lock.
        private Action<uint?>? _followers;

        public IDisposable Follow(Action<uint?> follower)
        {
            _followers += follower;
            if (_route is not null)
            {
                follower(_route);
            }

            return new Following(this, follower);
        }

        public void Set(bool asserted)
        {
            lock (_gate)
            {
                _asserted = asserted;
                apic.Set(asserted);
                _isa?.Set(asserted);
            }
        }

        public void Route(uint? interrupt)
        {
            lock (_gate)
            {
                if (interrupt == _route)
                {
                    return;
                }

                _isa?.Set(false);
                _route = interrupt;
                _isa = interrupt is { } gsi ? lines.Source(gsi) : null;
                _isa?.Set(_asserted);
            }

            // Without the gate: a follower lets its line fall, which comes back here.
            _followers?.Invoke(interrupt);
        }

        private sealed class Following(Pirq pirq, Action<uint?> follower) : IDisposable
        {
            public void Dispose() => pirq._followers -= follower;
        }
    }
}
