using Aperture.Devices.Pc;
using Aperture.Devices.Serial;
using Aperture.Pci;

namespace Aperture.Board.Pc;

/// <summary>The ports that the board itself has, which a device with ports of the user's choice may not take.</summary>
public static class FixedPorts
{
    // The interrupt controllers and the timer are in the kernel: nothing here would ever be reached behind them.
    private static readonly (int First, int Length, string Name)[] Taken =
    [
        (0x20, 2, "the interrupt controller"),
        (0x40, 4, "the interval timer"),
        (I8042.DataPort, 1, "the keyboard controller"),
        (0x61, 1, "the interval timer"),
        (I8042.CommandPort, 1, "the keyboard controller"),
        (Cmos.Port, Cmos.Length, "the CMOS"),
        (DummyPort.PostPort, 1, "the POST port"),
        (Port92.Port, 1, "system control port A"),
        (PmCommandPort.Port, PmCommandPort.Length, "the SMI command port"),
        (0xA0, 2, "the interrupt controller"),
        (DummyPort.DelayPort, 1, "the delay port"),
        (Serial16550.Com1, Serial16550.Length, "the first serial port"),
        (0x4D0, 2, "the interrupt controller"),
        (HandoverPort.Port, HandoverPort.Length, "the handover register"),
        (LpcBridge.AcpiBase, AcpiPmBlock.Length, "the ACPI block"),
        (Cf8Mechanism.FirstPort, Cf8Mechanism.PortCount, "the PCI configuration ports"),
    ];

    /// <summary>
    /// Refuses <paramref name="length"/> ports from <paramref name="port"/> on for <paramref name="option"/> when one of them belongs to the board;
    /// <paramref name="hint"/> says what to do.
    /// </summary>
    /// <exception cref="ApertureException">It does.</exception>
    public static void Check(string option, int port, int length, string hint)
    {
        foreach ((int first, int count, string name) in Taken)
        {
            if (port < first + count && first < port + length)
            {
                string ports = length == 1 ? "port" : "ports";
                throw new ApertureException($"{option} would take {length} {ports} of which {name} has 0x{first:x} to 0x{first + count - 1:x}; {hint}.");
            }
        }
    }
}
