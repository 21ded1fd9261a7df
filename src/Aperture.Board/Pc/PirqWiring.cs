using Aperture.Firmware.Platform;

namespace Aperture.Board.Pc;

/// <summary>
/// How a board wires the interrupt pins of the root bus to its PIRQ inputs. PIRQ n is also pin 16 + n of the I/O APIC, whatever its route to the 8259s.
/// </summary>
internal sealed class PirqWiring
{
    private const uint FirstGsi = 16;
    private readonly Func<int, int, int> _pirq;

    private PirqWiring(int count, Func<int, int, int> pirq)
    {
        Count = count;
        _pirq = pirq;
        Routes =
        [
            .. from device in Enumerable.Range(0, 32)
               from pin in Enumerable.Range(0, 4)
               select new PciInterruptRoute((byte)device, (byte)pin, Gsi(Pirq(device, pin))),
        ];
    }

    /// <summary>
    /// ICH9's PIRQA to PIRQH: slots rotate through all eight; the chipset's own devices, 25 and above, have INTA to INTD at PIRQA to PIRQD, the reset
    /// value of their route registers (ICH9 datasheet, 10.1.45).
    /// </summary>
    public static PirqWiring Q35 { get; } = new(8, static (device, pin) => device < 25 ? (device + pin) & 7 : pin);

    /// <summary>PIIX's PIRQA to PIRQD: the slots rotate, device 1 starts at PIRQA, as PC boards with this chipset were wired.</summary>
    public static PirqWiring I440fx { get; } = new(4, static (device, pin) => (device + pin + 3) & 3);

    /// <summary>The number of PIRQ inputs.</summary>
    public int Count { get; }

    /// <summary>Every pin of every device on the root bus, as the ACPI tables tell the guest.</summary>
    public IReadOnlyList<PciInterruptRoute> Routes { get; }

    /// <summary>The I/O APIC's input for PIRQ <paramref name="pirq"/>.</summary>
    public static uint Gsi(int pirq) => FirstGsi + (uint)pirq;

    /// <summary>The input of pin <paramref name="pin"/> (0 for INTA) of root device <paramref name="device"/>.</summary>
    public int Pirq(int device, int pin) => _pirq(device, pin);
}
