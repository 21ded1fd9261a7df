using Aperture.Pci;

namespace Aperture.Machine.Board;

/// <summary>
/// Carries INTx of the PCI functions to the interrupt controllers: to the I/O APIC by the board's wiring, and to the 8259s by the chipset's PIRQ route
/// registers, for guests without an I/O APIC driver. Functions that meet at one input are ORed.
/// </summary>
internal sealed class InterruptRouter
{
    private readonly PirqWiring _wiring;
    private readonly SharedLines _inputs;

    /// <summary>Makes the wires; every PIRQ's route to the 8259s is off.</summary>
    public InterruptRouter(PirqWiring wiring, SharedLines lines)
    {
        _wiring = wiring;
        Pirq[] pirqs = new Pirq[wiring.Count];
        for (int i = 0; i < pirqs.Length; i++)
        {
            pirqs[i] = new Pirq(lines.Source(PirqWiring.Gsi(i)), lines);
        }

        Pirqs = pirqs;
        _inputs = new SharedLines(pirq => pirqs[pirq]);
    }

    private Pirq[] Pirqs { get; }

    /// <summary>Connects the INTx of <paramref name="function"/>, which is on its bus.</summary>
    /// <returns>The global system interrupt that it arrives at; null when the function has no pin.</returns>
    public uint? Connect(PciFunction function)
    {
        IntxRoute route = PciInterrupts.Swizzle(function);
        if (route.Pin == 0)
        {
            return null;
        }

        int pirq = _wiring.Pirq(route.Device, route.Pin - 1);
        function.IntxLine = _inputs.Source((uint)pirq);
        return PirqWiring.Gsi(pirq);
    }

    /// <summary>Lets go of the INTx of <paramref name="function"/>, asserted or not.</summary>
    public static void Disconnect(PciFunction function)
    {
        function.IntxLine?.Set(false);
        function.IntxLine = null;
    }

    /// <summary>Brings the routes to the 8259s to what <paramref name="chipset"/>'s registers say.</summary>
    public void Update(IChipset chipset)
    {
        for (int i = 0; i < Pirqs.Length; i++)
        {
            Pirqs[i].Route(chipset.RouteOf(i).IsaInterrupt);
        }
    }

    /// <summary>One PIRQ input: a wire to the I/O APIC and, when routed, an input of the 8259s.</summary>
    private sealed class Pirq(IInterruptLine apic, SharedLines lines) : IInterruptLine
    {
        private readonly Lock _gate = new();
        private bool _asserted;
        private uint? _route;
        private IInterruptLine? _isa;

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
        }
    }
}
