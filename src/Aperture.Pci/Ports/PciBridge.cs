using Aperture.Pci.Registers;

namespace Aperture.Pci.Ports;

/// <summary>
/// A PCI-to-PCI bridge with a type 1 header (PCI-to-PCI Bridge 1.2, section 3.2; PCI Express 5.0, section 7.5.1.3). It forwards what falls into its
/// windows while its command bits are on; an address in either memory window is forwarded whatever kind of BAR it is for.
/// </summary>
public class PciBridge : PciFunction
{
    /// <summary>Bridge control bit 2: of the first 64 KiB of I/O, only the first 256 bytes of each KiB are forwarded.</summary>
    public const uint IsaEnable = 1 << 2;

    /// <summary>Bridge control bit 6: the secondary bus is held in reset.</summary>
    public const uint SecondaryBusReset = 1 << 6;

    // Parity error response, SERR enable, ISA enable, secondary bus reset. VGA forwarding is not offered: no legacy VGA lives behind our bridges.
    private const uint BridgeControlWritable = 0x0001 | 0x0002 | IsaEnable | SecondaryBusReset;

    // By BridgeWindow. What the guest wrote to the registers of a locked window, which read as the lock, is kept by the register's place.
    private readonly AddressRange?[] _locked = new AddressRange?[3];
    private readonly uint[] _askedRegisters = new uint[(PciRegisters.PrefetchableLimitUpper >> 2) + 1];

    /// <summary>Makes a bridge with its empty secondary bus.</summary>
    /// <param name="name">What messages call it.</param>
    /// <param name="identity">Its ids; the class should be <see cref="PciIdentity.BridgeClass"/>.</param>
    /// <param name="configSize">256 or 4096 bytes.</param>
    public PciBridge(string name, PciIdentity identity, int configSize = ConfigSpace.ExtendedSize)
        : this(name, identity, configSize, isLink: false)
    {
    }

    private protected PciBridge(string name, PciIdentity identity, int configSize, bool isLink)
        : base(name, identity, configSize, headerType: 1)
    {
        Secondary = new PciBus(this, isLink);
        Config.Define(PciRegisters.PrimaryBus, 4, 0, writable: 0x00FF_FFFF);
        Config.Define(PciRegisters.IoBase, 2, 0, writable: 0xF0F0);
        Config.Define(PciRegisters.IoBase + 2, 2, 0, writeOneToClear: 0xF900);
        Config.Define(PciRegisters.MemoryBase, 4, 0, writable: 0xFFF0_FFF0);
        Config.Define(PciRegisters.PrefetchableBase, 4, 0x0001_0001, writable: 0xFFF0_FFF0);
        Config.Define(PciRegisters.PrefetchableBaseUpper, 4, 0, writable: uint.MaxValue);
        Config.Define(PciRegisters.PrefetchableLimitUpper, 4, 0, writable: uint.MaxValue);
        Config.Define(PciRegisters.BridgeControl, 2, 0, writable: BridgeControlWritable);
    }

    /// <summary>The bus below.</summary>
    public PciBus Secondary { get; }

    private bool HasLocks => _locked[0] is not null || _locked[1] is not null || _locked[2] is not null;

    /// <summary>The secondary bus number register.</summary>
    public byte SecondaryBus => (byte)(Config.Get(PciRegisters.PrimaryBus) >> 8);

    /// <summary>The subordinate bus number register.</summary>
    public byte SubordinateBus => (byte)(Config.Get(PciRegisters.PrimaryBus) >> 16);

    /// <summary>True while bridge control holds the secondary bus in reset: nothing below answers.</summary>
    public bool IsSecondaryInReset => (Config.Get(PciRegisters.InterruptLine) >> 16 & SecondaryBusReset) != 0;

    // A slot without power: nothing below answers.
    private protected virtual bool IsSecondaryOff => false;

    private protected override int RomRegister => PciRegisters.RomType1;

    private protected override int BarRegisters => 2;

    /// <summary>The addresses in a window, or null while it is closed (base above limit). The command bits do not matter here.</summary>
    public AddressRange? Window(BridgeWindow window) => Window(window, asked: false);

    /// <summary>
    /// Keeps <paramref name="window"/> open for <paramref name="range"/> whatever the guest writes, because a BAR below is pinned inside: its registers read as
    /// that range, through every reset. What the guest asked for is forwarded as well, so that what it placed by its own account is reached too.
    /// </summary>
    /// <exception cref="ArgumentException">The range is not a multiple of the window's unit, or too high for it.</exception>
    public void LockWindow(BridgeWindow window, AddressRange range)
    {
        Ask(window);
        ProgramWindow(window, range);
        _locked[(int)window] = range;
    }

    /// <summary>The range that <see cref="LockWindow"/> keeps a window at, or null.</summary>
    public AddressRange? LockedWindow(BridgeWindow window) => _locked[(int)window];

    private AddressRange? Window(BridgeWindow window, bool asked)
    {
        (ulong first, ulong last) = Bounds(window, asked);
        if (first > last)
        {
            return null;
        }

        // All of 2^64 cannot be said as a range; the top byte, which nothing ever decodes, is left out.
        last -= first == 0 && last == ulong.MaxValue ? 1UL : 0;
        return AddressRange.FromBounds(new GuestAddress(first), new GuestAddress(last));
    }

    /// <summary>True when every address of <paramref name="range"/> passes from the primary to the secondary bus.</summary>
    /// <param name="range">The addresses; not empty.</param>
    /// <param name="io">I/O ports rather than memory.</param>
    public bool Forwards(AddressRange range, bool io)
    {
        PciCommand needed = io ? PciCommand.IoSpace : PciCommand.MemorySpace;
        if ((Command & needed) == 0 || !IsInD0 || IsSecondaryInReset || IsSecondaryOff)
        {
            return false;
        }

        if (!io)
        {
            return Coverage.Covers(Window(BridgeWindow.Memory), Window(BridgeWindow.Prefetchable), range)
                || (HasLocks && Coverage.Covers(Window(BridgeWindow.Memory, asked: true), Window(BridgeWindow.Prefetchable, asked: true), range));
        }

        bool inside = Coverage.Covers(Window(BridgeWindow.Io), null, range) || (HasLocks && Coverage.Covers(Window(BridgeWindow.Io, asked: true), null, range));
        return inside && !IsBlockedByIsaEnable(range);
    }

    /// <summary>Programs the bus numbers as firmware does before the guest runs.</summary>
    public void ProgramBusNumbers(byte primary, byte secondary, byte subordinate)
    {
        Config.Set(PciRegisters.PrimaryBus, primary | (uint)secondary << 8 | (uint)subordinate << 16, 0x00FF_FFFF);
        Bus?.Hierarchy?.InvalidateRoutes();
    }

    /// <summary>Programs a window as firmware does before the guest runs; null or an empty range closes it.</summary>
    /// <exception cref="ArgumentException">The range is not a multiple of the window's unit, or too high for it.</exception>
    public void ProgramWindow(BridgeWindow window, AddressRange? range)
    {
        ulong unit = window == BridgeWindow.Io ? 0x1000UL : 0x10_0000UL;
        ulong first = unit;
        ulong last = 0;
        if (range is { IsEmpty: false } open)
        {
            ulong highest = window switch
            {
                BridgeWindow.Io => 0xFFFF,
                BridgeWindow.Memory => uint.MaxValue,
                _ => ulong.MaxValue,
            };
            first = open.Start.Value;
            last = open.Last.Value;
            if (first % unit != 0 || open.Size % unit != 0 || last > highest)
            {
                throw new ArgumentException(
                    $"the {window} window of {Name} cannot be {open}: it must be whole units of {ByteSize.Format(unit)} that end at or below 0x{highest:x}",
                    nameof(range));
            }
        }

        SetBounds(window, first, last);
    }

    internal bool ForwardsConfiguration(int bus) => !IsSecondaryInReset && !IsSecondaryOff && bus >= SecondaryBus && bus <= SubordinateBus;

    /// <summary>After a function was added to or removed from the secondary bus.</summary>
    internal virtual void ChildrenChanged()
    {
    }

    private protected override ConfigChange HeaderWritten(in RegisterWrite write)
    {
        if (HasLocks && LockOf(write.Register) is { } window && _locked[(int)window] is { } range)
        {
            return LockedWindowWritten(window, range, write);
        }

        if (write.Changed == 0)
        {
            return ConfigChange.None;
        }

        switch (write.Register)
        {
            case PciRegisters.PrimaryBus:
                Bus?.Hierarchy?.InvalidateRoutes();
                return ConfigChange.BusNumbers;
            case PciRegisters.IoBase:
                return WindowChange(write.Changed & 0xFFFF, PciCommand.IoSpace);
            case PciRegisters.MemoryBase:
            case PciRegisters.PrefetchableBase:
            case PciRegisters.PrefetchableBaseUpper:
            case PciRegisters.PrefetchableLimitUpper:
                return WindowChange(write.Changed, PciCommand.MemorySpace);
            case PciRegisters.InterruptLine:
                return ControlWritten(write);
            default:
                return ConfigChange.None;
        }
    }

    /// <summary>Resets everything below as well: a reset of a bridge is a reset of its secondary bus (PCI Express 5.0, section 6.6.1).</summary>
    protected override void OnReset(ResetKind kind)
    {
        base.OnReset(kind);
        RestoreLocks();
        Bus?.Hierarchy?.InvalidateRoutes();
        ResetSecondary(kind == ResetKind.Cold ? ResetKind.Cold : ResetKind.Conventional);
    }

    private ConfigChange ControlWritten(in RegisterWrite write)
    {
        uint changed = write.Changed >> 16;
        ConfigChange change = ConfigChange.None;
        if ((changed & SecondaryBusReset) != 0)
        {
            Bus?.Hierarchy?.InvalidateRoutes();
            change |= ConfigChange.BusNumbers | ConfigChange.DecodeMap;
            if (IsSecondaryInReset)
            {
                ResetSecondary(ResetKind.Conventional);
                change |= ConfigChange.SecondaryReset | ConfigChange.Interrupts;
            }
        }

        if ((changed & IsaEnable) != 0)
        {
            change |= ConfigChange.DecodeMap;
        }

        return change;
    }

    internal void ResetSecondary(ResetKind kind)
    {
        foreach (PciFunction function in Secondary.Functions)
        {
            function.Reset(kind);
        }
    }

    private ConfigChange WindowChange(uint changed, PciCommand enable) =>
        changed != 0 && (Command & enable) != 0 ? ConfigChange.DecodeMap : ConfigChange.None;

    // PCI-to-PCI Bridge 1.2, section 3.2.5.18: address bits 9:8 must be zero to pass.
    private bool IsBlockedByIsaEnable(AddressRange range) =>
        (Config.Get(PciRegisters.InterruptLine) >> 16 & IsaEnable) != 0
        && ((range.Start.Value & 0x300) != 0 || (range.Last.Value & ~0xFFUL) != (range.Start.Value & ~0xFFUL));

    private (ulong First, ulong Last) Bounds(BridgeWindow window, bool asked = false)
    {
        uint Register(int offset) => asked && _locked[(int)window] is not null ? _askedRegisters[offset >> 2] : Config.Get(offset);
        switch (window)
        {
            case BridgeWindow.Io:
                uint io = Register(PciRegisters.IoBase);
                return ((io & 0xF0) << 8, (io & 0xF000) | 0xFFF);
            case BridgeWindow.Memory:
                uint memory = Register(PciRegisters.MemoryBase);
                return ((memory & 0xFFF0) << 16, (memory & 0xFFF0_0000) | 0xF_FFFF);
            default:
                uint low = Register(PciRegisters.PrefetchableBase);
                ulong first = (low & 0xFFF0) << 16 | (ulong)Register(PciRegisters.PrefetchableBaseUpper) << 32;
                ulong last = (low & 0xFFF0_0000) | 0xF_FFFF | (ulong)Register(PciRegisters.PrefetchableLimitUpper) << 32;
                return (first, last);
        }
    }

    private static BridgeWindow? LockOf(int register) => register switch
    {
        PciRegisters.IoBase => BridgeWindow.Io,
        PciRegisters.MemoryBase => BridgeWindow.Memory,
        PciRegisters.PrefetchableBase or PciRegisters.PrefetchableBaseUpper or PciRegisters.PrefetchableLimitUpper => BridgeWindow.Prefetchable,
        _ => null,
    };

    private ConfigChange LockedWindowWritten(BridgeWindow window, AddressRange range, in RegisterWrite write)
    {
        ref uint asked = ref _askedRegisters[write.Register >> 2];
        uint before = asked;
        asked = (asked & ~write.Lanes) | (write.Written & write.Lanes);
        SetBounds(window, range.Start.Value, range.Last.Value);
        return WindowChange(before ^ asked, window == BridgeWindow.Io ? PciCommand.IoSpace : PciCommand.MemorySpace);
    }

    // Takes the registers of a window as what the guest asked for.
    private void Ask(BridgeWindow window)
    {
        for (int offset = PciRegisters.IoBase; offset <= PciRegisters.PrefetchableLimitUpper; offset += 4)
        {
            if (LockOf(offset) == window)
            {
                _askedRegisters[offset >> 2] = Config.Get(offset);
            }
        }
    }

    private void RestoreLocks()
    {
        foreach (BridgeWindow window in Enum.GetValues<BridgeWindow>())
        {
            if (_locked[(int)window] is { } range)
            {
                Ask(window);
                SetBounds(window, range.Start.Value, range.Last.Value);
            }
        }
    }

    private void SetBounds(BridgeWindow window, ulong first, ulong last)
    {
        switch (window)
        {
            case BridgeWindow.Io:
                Config.Set(PciRegisters.IoBase, (uint)(first >> 8 & 0xF0) | (uint)(last & 0xF000), 0xF0F0);
                break;
            case BridgeWindow.Memory:
                Config.Set(PciRegisters.MemoryBase, (uint)(first >> 16 & 0xFFF0) | (uint)(last & 0xFFF0_0000), 0xFFF0_FFF0);
                break;
            default:
                Config.Set(PciRegisters.PrefetchableBase, (uint)(first >> 16 & 0xFFF0) | (uint)(last & 0xFFF0_0000), 0xFFF0_FFF0);
                Config.Set(PciRegisters.PrefetchableBaseUpper, (uint)(first >> 32));
                Config.Set(PciRegisters.PrefetchableLimitUpper, (uint)(last >> 32));
                break;
        }
    }
}
