using Aperture.Linux.Kvm;

namespace Aperture.Kvm.X86;

/// <summary>The inputs of a PC: 24 pins of the I/O APIC, 0 to 15 of them also the PICs'.</summary>
internal sealed class PcInputs : InterruptInputs
{
    private const int Pins = 24;

    // KVM_IRQ_ROUTING_IRQCHIP of linux/kvm.h.
    private const uint ToPin = 1;

    private PcInputs()
    {
    }

    /// <summary>The one there is.</summary>
    public static PcInputs Instance { get; } = new();

    /// <inheritdoc/>
    public override int Count => Pins;

    /// <inheritdoc/>
    public override IReadOnlyList<KvmIrqRoutingEntry> Routes { get; } = [.. PinRoutes()];

    /// <inheritdoc/>
    public override bool TakesLevelEvents => true;

    /// <inheritdoc/>
    public override uint LineNumber(uint gsi) => gsi;

    /// <inheritdoc/>
    public override IReadOnlyList<KvmIrqRoutingEntry> Wire(uint number, uint pin, uint? isa)
    {
        KvmIrqRoutingEntry apic = new() { Gsi = number, Type = ToPin, Irqchip = 2, Pin = pin };
        return isa is { } input ? [apic, ToPic(number, input)] : [apic];
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
}
