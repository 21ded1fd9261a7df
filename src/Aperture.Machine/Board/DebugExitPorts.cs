using Aperture.Devices;
using Aperture.Machine.Configuration;
using Aperture.Pci;

namespace Aperture.Machine.Board;

/// <summary>Reads the ports of <c>--device debug-exit</c>.</summary>
internal static class DebugExitPorts
{
    // What a debug-exit must not hide, or would never be reached behind: the interrupt controllers and the timer are in the kernel.
    private static readonly (int First, int Length, string Name)[] Taken =
    [
        (0x20, 2, "the interrupt controller"),
        (0x40, 4, "the interval timer"),
        (I8042Stub.DataPort, 1, "the keyboard controller"),
        (0x61, 1, "the interval timer"),
        (I8042Stub.CommandPort, 1, "the keyboard controller"),
        (Cmos.Port, Cmos.Length, "the CMOS"),
        (DummyPort.PostPort, 1, "the POST port"),
        (Port92.Port, 1, "system control port A"),
        (0xA0, 2, "the interrupt controller"),
        (DummyPort.DelayPort, 1, "the delay port"),
        (Serial16550.Com1, Serial16550.Length, "the first serial port"),
        (0x4D0, 2, "the interrupt controller"),
        (LpcBridge.AcpiBase, AcpiPmBlock.Length, "the ACPI block"),
        (Cf8Mechanism.FirstPort, Cf8Mechanism.PortCount, "the PCI configuration ports"),
    ];

    /// <summary>One port a device.</summary>
    /// <exception cref="ApertureException">A port that is no number or belongs to something else.</exception>
    public static IReadOnlyList<ushort> Read(MachineConfig config)
    {
        List<ushort> ports = [];
        foreach (DeviceConfig device in config.Devices.Where(d => d.Type == "debug-exit"))
        {
            device.Options.AllowOnly("port");
            string text = device.Options.Find("port") ?? "0xf4";
            if (!ByteSize.TryParseNumber(text, out ulong port) || port > 0xFFFF - DebugExit.Length)
            {
                throw new ApertureException($"--device debug-exit,port={text}: a port is a number from 0 to 0xfffb; 0xf4 is customary.");
            }

            if (ports.Exists(p => Math.Abs(p - (int)port) < DebugExit.Length))
            {
                throw new ApertureException($"--device debug-exit,port={text}: another debug-exit is already there.");
            }

            foreach ((int first, int length, string name) in Taken)
            {
                if ((int)port < first + length && first < (int)port + DebugExit.Length)
                {
                    throw new ApertureException($"--device debug-exit,port={text} would take 4 ports of which {name} has 0x{first:x} to 0x{first + length - 1:x}; 0xf4 is customary.");
                }
            }

            ports.Add((ushort)port);
        }

        return ports;
    }
}
