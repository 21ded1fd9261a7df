using Aperture.Host.Model;
using Aperture.Pci;

namespace Aperture.Host.Building;

/// <summary>
/// The ports of an IDE controller's channels in compatibility mode (PCI IDE Controller Specification 1.0, section 2): fixed, whatever the BAR registers hold.
/// lspci prints them as the kernel has them, ports under the name of memory, with sizes that no BAR has.
/// </summary>
internal static class LegacyIde
{
    private const uint IdeClass = 0x0101;
    private const uint PrimaryNative = 1 << 0;
    private const uint SecondaryNative = 1 << 2;

    /// <summary>
    /// The BARs of a function of class <paramref name="classCode"/> (24 bits) with the channels that are in compatibility mode at their ports.
    /// </summary>
    internal static List<HostBar> Apply(List<HostBar> bars, uint classCode)
    {
        if (classCode >> 8 != IdeClass)
        {
            return bars;
        }

        SortedDictionary<int, HostBar> all = new(bars.ToDictionary(static bar => bar.Index));
        if ((classCode & PrimaryNative) == 0)
        {
            Put(0, 0x1F0, 8);
            Put(1, 0x3F6, 1);
        }

        if ((classCode & SecondaryNative) == 0)
        {
            Put(2, 0x170, 8);
            Put(3, 0x376, 1);
        }

        return [.. all.Values];

        void Put(int index, ulong port, ulong size) => all[index] =
            new HostBar(index, BarKind.Io, new GuestAddress(port), size, SizeOrigin.Known) { CpuAddress = new GuestAddress(port), Fixed = true };
    }
}
