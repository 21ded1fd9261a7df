using Aperture.Board.Tests.Fakes;
using Aperture.Pci;
using Aperture.Pci.Ports;

namespace Aperture.Board.Tests;

/// <summary>
/// Which BARs ask to be decoded, and where, worked out from the raw registers bit by bit: command bits, power state, every bridge's windows above, what wins
/// over BARs. Shares no code with the decode calculation.
/// </summary>
internal static class DecodeOracle
{
    /// <summary>A BAR that asks for an address and may have it, were it alone.</summary>
    public sealed record Claim(Bar Bar, bool Io, AddressRange Range)
    {
        public bool Clashes(Claim other) => Bar != other.Bar && Io == other.Io && Range.Overlaps(other.Range);
    }

    public static List<Claim> Claims(TestBoard board) =>
        Claims(board.Board, board.PinsHold, (io, range) => io ? PortsAllowed(range) : MemoryAllowed(board, range));

    /// <summary>As the other overload for any board: whether pins are in force, and what its host bridge forwards.</summary>
    public static List<Claim> Claims(PciBoard board, bool pinsHold, Func<bool, AddressRange, bool> allowed)
    {
        List<Claim> claims = [];
        foreach (PciFunction function in board.Pci.Functions)
        {
            foreach (Bar bar in function.Bars)
            {
                if (Claimed(pinsHold, allowed, function, bar) is { } claim)
                {
                    claims.Add(claim);
                }
            }
        }

        return claims;
    }

    /// <summary>The ECAM window by the register, or null.</summary>
    public static AddressRange? Ecam(TestBoard board)
    {
        ulong register = Word(board.Function("mch"), 0x60) | (ulong)Word(board.Function("mch"), 0x64) << 32;
        ulong size = ((register >> 1) & 3) switch { 0 => 0x1000_0000UL, 1 => 0x800_0000UL, _ => 0x400_0000UL };
        return (register & 1) == 0 ? null : new AddressRange(new GuestAddress(register & 0xF_FC00_0000UL & ~(size - 1)), size);
    }

    private static uint Word(PciFunction function, int offset) => function.Config.Get(offset);

    private static Claim? Claimed(bool pinsHold, Func<bool, AddressRange, bool> allowed, PciFunction function, Bar bar)
    {
        int register = bar.Index == 6 ? 0x30 : 0x10 + (4 * bar.Index);
        uint low = Word(function, register);
        bool io = bar.Index != 6 && (low & 1) != 0;
        bool wide = bar.Index != 6 && !io && (low & 6) == 4;
        uint flags = bar.Index == 6 ? 0x7FFu : io ? 3u : 0xFu;
        ulong address = (low & ~flags) | (wide ? (ulong)Word(function, register + 4) << 32 : 0);
        address = pinsHold ? bar.Pin?.Value ?? address : address;
        uint command = Word(function, 4);
        bool on = (command & (io ? 1u : 2u)) != 0 && (bar.Index != 6 || (low & 1) != 0) && Power(function) == 0;
        if (!on || address == 0 || address + bar.Size < address || (address + bar.Size - 1) >> 63 != 0)
        {
            return null;
        }

        for (PciBridge? bridge = function.Bus!.Parent; bridge is not null; bridge = bridge.Bus!.Parent)
        {
            if (!Passes(bridge, io, address, address + bar.Size - 1))
            {
                return null;
            }
        }

        AddressRange range = new(new GuestAddress(address), bar.Size);
        return allowed(io, range) ? new Claim(bar, io, range) : null;
    }

    private static uint Power(PciFunction function) => Capability(function, 1) is { } at ? Word(function, at + 4) & 3 : 0;

    // Power controller control of a root port's (4) or downstream port's (6) slot.
    private static bool IsSlotOff(PciBridge bridge) => Capability(bridge, 0x10) is { } at
        && (Word(bridge, at) >> 20 & 0xF) is 4 or 6
        && (Word(bridge, at + 0x18) & 0x400) != 0;

    private static int? Capability(PciFunction function, uint id)
    {
        for (uint at = Word(function, 0x34) & 0xFC; at != 0; at = Word(function, (int)at) >> 8 & 0xFC)
        {
            if ((Word(function, (int)at) & 0xFF) == id)
            {
                return (int)at;
            }
        }

        return null;
    }

    private static bool Passes(PciBridge bridge, bool io, ulong first, ulong last)
    {
        uint control = Word(bridge, 0x3C) >> 16;
        if ((Word(bridge, 4) & (io ? 1u : 2u)) == 0 || Power(bridge) != 0 || (control & 0x40) != 0 || IsSlotOff(bridge))
        {
            return false;
        }

        if (io)
        {
            uint ports = Word(bridge, 0x1C);
            bool isa = (control & 4) != 0 && ((first & 0x300) != 0 || first >> 8 != last >> 8);
            return !isa && first >= (ports & 0xF0) << 8 && last <= ((ports & 0xF000) | 0xFFF);
        }

        uint memory = Word(bridge, 0x20);
        uint prefetch = Word(bridge, 0x24);
        (ulong First, ulong Last) plain = ((memory & 0xFFF0) << 16, (memory & 0xFFF0_0000) | 0xF_FFFF);
        (ulong First, ulong Last) fetch = (
            (prefetch & 0xFFF0) << 16 | (ulong)Word(bridge, 0x28) << 32,
            (prefetch & 0xFFF0_0000) | 0xF_FFFF | (ulong)Word(bridge, 0x2C) << 32);

        // Either window by itself, or both where one goes on where the other ends.
        bool In((ulong First, ulong Last) window, ulong at) => at >= window.First && at <= window.Last;
        return (In(plain, first) && In(plain, last))
            || (In(fetch, first) && In(fetch, last))
            || (In(plain, first) && In(fetch, last) && fetch.First <= plain.Last + 1 && plain.Last < last)
            || (In(fetch, first) && In(plain, last) && plain.First <= fetch.Last + 1 && fetch.Last < last);
    }

    private static bool PortsAllowed(AddressRange range) =>
        range.Last.Value <= 0xFFFF && (range.Last.Value < 0xCF8 || range.Start.Value > 0xCFF);

    private static bool MemoryAllowed(TestBoard board, AddressRange range)
    {
        IEnumerable<AddressRange> windows = board.Firmware is null
            ? board.Map.HostBridges[0].Mmio32Windows.Concat(board.Map.HostBridges[0].Mmio64Windows)
            : [AddressRange.FromBounds(new GuestAddress(RamOracle.LowEnd(board)), new GuestAddress((1UL << TestBoard.AddressBits) - 1))];
        (ulong First, ulong Last)[] taken =
        [
            (0xFEC0_0000, 0xFEC0_0FFF), (0xFED0_0000, 0xFED0_0FFF), (0xFEE0_0000, 0xFEEF_FFFF), (0xFEFF_C000, 0xFEFF_FFFF), (0xFF00_0000, 0xFFFF_FFFF),
        ];
        return windows.Any(w => w.Contains(range))
            && !taken.Any(t => range.Start.Value <= t.Last && range.Last.Value >= t.First)
            && !RamOracle.Touches(board, range)
            && !(Ecam(board) is { } ecam && range.Overlaps(ecam));
    }
}
