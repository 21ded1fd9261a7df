using Aperture.Host.Model;
using Aperture.Pci.Registers;

namespace Aperture.Host.Building;

/// <summary>Reads a bridge's bus numbers and windows out of its header (PCI-to-PCI Bridge 1.2, section 3.2.5).</summary>
internal static class BridgeDecoder
{
    private const byte SubtractiveInterface = 0x01;
    private const int IoBaseUpper = 0x30;
    private const int IoLimitUpper = 0x32;

    /// <summary>The bridge; null when the function is none or its header is not known.</summary>
    internal static HostPciBridge? Read(ConfigBytes config)
    {
        if (!config.Answers || config.HeaderLayout is not (1 or 2))
        {
            return null;
        }

        byte primary = config.U8(PciRegisters.PrimaryBus);
        byte secondary = config.U8(PciRegisters.PrimaryBus + 1);
        byte subordinate = config.U8(PciRegisters.PrimaryBus + 2);
        if (config.HeaderLayout == 2)
        {
            // A CardBus bridge has its bus numbers at the same place (PC Card Standard 8.0).
            return new HostPciBridge(primary, secondary, subordinate, null, null, null, false) { CardBusWindows = [.. CardBus(config)] };
        }

        bool wide = (config.U16(PciRegisters.PrefetchableBase) & 0xF) == 1;
        return new HostPciBridge(primary, secondary, subordinate, Io(config), Memory(config), Prefetchable(config, wide), wide)
        {
            Subtractive = config.U8(PciRegisters.Revision + 1) == SubtractiveInterface,
        };
    }

    // Two memory windows and two of I/O ports, each a base and a limit of 32 bits; bridge control says which memory is prefetchable.
    private static IEnumerable<CardBusWindow> CardBus(ConfigBytes config)
    {
        const int FirstMemory = 0x1C;
        const int FirstIo = 0x2C;
        const int Control = 0x3E;
        for (int i = 0; i < 2; i++)
        {
            const uint Granule = 0xFFF;
            CardBusWindowKind kind = (config.U16(Control) & 1 << (8 + i)) != 0 ? CardBusWindowKind.Prefetchable : CardBusWindowKind.Memory;
            if (Window(config.U32(FirstMemory + 8 * i) & ~Granule, config.U32(FirstMemory + 4 + 8 * i) | Granule) is { } window)
            {
                yield return new CardBusWindow(kind, window);
            }
        }

        for (int i = 0; i < 2; i++)
        {
            // Bit 0 of the base says whether the upper 16 bits of both are there.
            uint first = config.U32(FirstIo + 8 * i);
            uint mask = (first & 1) != 0 ? uint.MaxValue : 0xFFFF;
            if (Window(first & mask & ~3u, config.U32(FirstIo + 4 + 8 * i) & mask | 3) is { } window)
            {
                yield return new CardBusWindow(CardBusWindowKind.Io, window);
            }
        }
    }

    private static AddressRange? Io(ConfigBytes config)
    {
        byte low = config.U8(PciRegisters.IoBase);
        byte high = config.U8(PciRegisters.IoBase + 1);
        bool wide = (low & 0xF) == 1;
        ulong first = (ulong)(low & 0xF0) << 8 | (wide ? (ulong)config.U16(IoBaseUpper) << 16 : 0);
        ulong last = (ulong)(high & 0xF0) << 8 | 0xFFF | (wide ? (ulong)config.U16(IoLimitUpper) << 16 : 0);
        return Window(first, last);
    }

    private static AddressRange? Memory(ConfigBytes config) => Window(
        (ulong)(config.U16(PciRegisters.MemoryBase) & 0xFFF0) << 16,
        (ulong)(config.U16(PciRegisters.MemoryBase + 2) & 0xFFF0) << 16 | 0xFFFFF);

    private static AddressRange? Prefetchable(ConfigBytes config, bool wide) => Window(
        (ulong)(config.U16(PciRegisters.PrefetchableBase) & 0xFFF0) << 16 | (wide ? (ulong)config.U32(PciRegisters.PrefetchableBaseUpper) << 32 : 0),
        (ulong)(config.U16(PciRegisters.PrefetchableBase + 2) & 0xFFF0) << 16 | 0xFFFFF
            | (wide ? (ulong)config.U32(PciRegisters.PrefetchableLimitUpper) << 32 : 0));

    /// <summary>An open window. One that starts at 0 was never programmed (registers reset to 0, or are not there): nothing can be placed at 0.</summary>
    private static AddressRange? Window(ulong first, ulong last) =>
        first != 0 && first <= last ? AddressRange.FromBounds(new GuestAddress(first), new GuestAddress(last)) : null;
}
