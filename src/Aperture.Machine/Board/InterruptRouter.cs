using Aperture.Firmware;
using Aperture.Pci;

namespace Aperture.Machine.Board;

/// <summary>
/// Wires INTx of the PCI functions to I/O APIC pins 16 to 23: pin p of root device d arrives at 16 + (d + p) mod 8. Functions that meet at one pin are
/// ORed, as open-drain lines are.
/// </summary>
internal sealed class InterruptRouter
{
    private const uint FirstGsi = 16;
    private const int Lines = 8;
    private readonly SharedLine[] _lines = new SharedLine[Lines];

    /// <summary>Makes the wires; <paramref name="line"/> gives the controller's input for a global system interrupt.</summary>
    public InterruptRouter(Func<uint, IInterruptLine> line)
    {
        for (uint i = 0; i < Lines; i++)
        {
            _lines[i] = new SharedLine(line(FirstGsi + i));
        }
    }

    /// <summary>Every pin of every device on the root bus, as the ACPI tables tell the guest.</summary>
    public static IReadOnlyList<PciInterruptRoute> Routes { get; } =
        [.. from device in Enumerable.Range(0, 32) from pin in Enumerable.Range(0, 4) select new PciInterruptRoute((byte)device, (byte)pin, Gsi(device, pin))];

    /// <summary>Connects the INTx of <paramref name="function"/>, which is on its bus.</summary>
    public void Connect(PciFunction function)
    {
        IntxRoute route = PciInterrupts.Swizzle(function);
        if (route.Pin != 0)
        {
            function.IntxLine = _lines[Gsi(route.Device, route.Pin - 1) - FirstGsi].AddSource();
        }
    }

    /// <summary>Lets go of the INTx of <paramref name="function"/>, asserted or not.</summary>
    public static void Disconnect(PciFunction function)
    {
        function.IntxLine?.Set(false);
        function.IntxLine = null;
    }

    private static uint Gsi(int device, int pin) => FirstGsi + ((uint)(device + pin) % Lines);

    /// <summary>An input with several drivers: asserted while any of them asserts.</summary>
    private sealed class SharedLine(IInterruptLine target)
    {
        private readonly Lock _gate = new();
        private int _asserted;

        public IInterruptLine AddSource() => new Source(this);

        private void Change(int by)
        {
            lock (_gate)
            {
                _asserted += by;
                target.Set(_asserted > 0);
            }
        }

        private sealed class Source(SharedLine line) : IInterruptLine
        {
            private readonly Lock _order = new();
            private bool _asserted;

            public void Set(bool asserted)
            {
                lock (_order)
                {
                    if (_asserted != asserted)
                    {
                        _asserted = asserted;
                        line.Change(asserted ? 1 : -1);
                    }
                }
            }
        }
    }
}
