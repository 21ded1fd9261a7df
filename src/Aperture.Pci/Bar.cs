using Aperture.Pci.Capabilities;
using Aperture.Pci.Registers;

namespace Aperture.Pci;

/// <summary>
/// A base address register, or the expansion ROM's (PCI Local Bus 3.0, sections 6.2.5.1 and 6.2.5.2). Sizing needs no state: the address
/// bits below the size are read-only zeroes, so an all-ones write reads back as the size mask, each half of a 64-bit BAR by itself.
/// </summary>
public sealed class Bar
{
    private readonly ConfigSpace _config;
    private readonly int _register;
    private ulong _addressMask;

    // What the guest last wrote to a pinned BAR, which is not what the register shows.
    private ulong _requested;

    internal Bar(PciFunction function, int index, BarKind kind, ulong size, int register)
    {
        Function = function;
        Index = index;
        Kind = kind;
        Size = size;
        _config = function.Config;
        _register = register;
        DefineRegisters();
    }

    /// <summary>The function that has it.</summary>
    public PciFunction Function { get; }

    /// <summary>0 to 5, <see cref="BarKinds.RomIndex"/>, or <see cref="BarKinds.Vf0"/> and up for a VF BAR.</summary>
    public int Index { get; }

    /// <summary>Its kind.</summary>
    public BarKind Kind { get; }

    /// <summary>Bytes decoded, of a VF BAR those of each VF: a power of two, and the alignment.</summary>
    public ulong Size { get; private set; }

    /// <summary>The capability of a VF BAR; null for every other.</summary>
    public SriovCapability? Sriov { get; internal init; }

    /// <summary>Bytes that it can ever take: for a VF BAR those of all VFs that there can be.</summary>
    public ulong FullSize => Sriov is null ? Size : Size * (ulong)Sriov.TotalVfs;

    /// <summary>Bytes that it takes while it decodes: for a VF BAR those of the VFs that there are.</summary>
    public ulong DecodeSize => Sriov is null ? Size : Size * (ulong)Math.Max(Sriov.Enabled, 1);

    /// <summary>
    /// The guest has decoding on for its space: by the command register, for VF BARs by the SR-IOV capability. A ROM has its own bit besides.
    /// </summary>
    public bool IsSpaceEnabled => Sriov is null
        ? (Function.Command & (Kind == BarKind.Io ? PciCommand.IoSpace : PciCommand.MemorySpace)) != 0
        : Sriov.IsMemoryEnabled;

    /// <summary>How messages call it: <c>bar2</c> or <c>rom</c>.</summary>
    public string Name => BarKinds.BarName(Index);

    /// <summary>Where the user wants it whatever the guest does; null when the guest is free.</summary>
    public GuestAddress? Pin { get; private set; }

    /// <summary>What happens when the guest moves a pinned BAR.</summary>
    public BarPinPolicy PinPolicy { get; private set; }

    /// <summary>True while the pin is in force: <see cref="PciHierarchy.HoldsPins"/> says so, or the function is on no bus yet.</summary>
    public bool IsPinHeld => Pin is not null && (Function.Bus?.Hierarchy?.HoldsPins ?? true);

    /// <summary>The pin from which nothing moves the BAR; null without one, while it waits for the handover, or if it follows the guest.</summary>
    public GuestAddress? HeldPin => PinPolicy != BarPinPolicy.Follow && IsPinHeld ? Pin : null;

    /// <summary>The BAR has a pin in force and moves with the guest all the same (<see cref="BarPinPolicy.Follow"/>).</summary>
    public bool IsFollowing => PinPolicy == BarPinPolicy.Follow && IsPinHeld;

    /// <summary>How often the guest tried to give a pinned BAR another address, half-written ones included.</summary>
    public long MoveAttempts { get; private set; }

    /// <summary>The address of the latest such attempt.</summary>
    public GuestAddress LastMoveAttempt { get; private set; }

    /// <summary>The address that the guest last gave a pinned BAR, which a locked one does not show; <see cref="Programmed"/> for every other.</summary>
    public GuestAddress Requested => IsPinHeld ? new(_requested) : Programmed;

    /// <summary>True while the guest wants a pinned BAR elsewhere, sizing aside.</summary>
    public bool IsMoved => IsPinHeld && Pin is { } pin && _requested != pin.Value && !IsSizing(0, pin) && !IsSizing(32, pin);

    /// <summary>The address that the register reads as, sizing and half-written values included.</summary>
    public GuestAddress Programmed => new(ReadRegister() & _addressMask);

    /// <summary>The address that decodes while decoding is enabled: the pin of a locked BAR, else <see cref="Programmed"/>.</summary>
    public GuestAddress DecodeAddress => HeldPin ?? Programmed;

    /// <summary>The ROM's own enable bit; true for every other BAR.</summary>
    public bool IsEnabled => Kind != BarKind.Rom || (_config.Get(_register) & 1) != 0;

    /// <summary>Offset in bytes of its first register in configuration space.</summary>
    public int Register => _register;

    /// <summary>Fixes the BAR at <paramref name="address"/>, or frees it with null. The register takes the value at once.</summary>
    /// <exception cref="ArgumentException">The address is zero, not a multiple of the size, or too high for the kind.</exception>
    public void SetPin(GuestAddress? address, BarPinPolicy policy = BarPinPolicy.Lock)
    {
        if (address is { } pin)
        {
            CheckAddress(pin);
        }

        Pin = address;
        PinPolicy = policy;
        RestorePin();
    }

    /// <summary>Programs the address as firmware would, leaving the ROM's enable bit.</summary>
    /// <exception cref="ArgumentException">The address does not suit the BAR, or the BAR is locked elsewhere.</exception>
    internal void Program(GuestAddress address)
    {
        if (address != GuestAddress.Zero)
        {
            CheckAddress(address);
        }

        if (HeldPin is { } pin && address != pin)
        {
            throw new ArgumentException($"{Name} of {Function.Name} is pinned at {pin} and cannot be programmed to {address}", nameof(address));
        }

        _requested = address.Value;
        WriteAddress(address.Value);
    }

    /// <summary>Gives a VF BAR another share, a power of two: the address keeps what is a multiple of it.</summary>
    internal void Resize(ulong size)
    {
        ulong address = ReadRegister();
        Size = size;
        DefineRegisters();
        WriteAddress(address);
    }

    /// <summary>After a reset of the registers, or once pins come into force: a pinned BAR shows its pin.</summary>
    internal void RestorePin()
    {
        if (IsPinHeld && Pin is { } pin)
        {
            _requested = pin.Value;
            WriteAddress(pin.Value);
        }
    }

    /// <summary>As <see cref="PciFunction.PinForceChanged"/>, of a BAR that has a pin.</summary>
    internal void PinForceChanged()
    {
        if (!IsPinHeld)
        {
            WriteAddress(0);
        }

        RestorePin();
    }

    /// <summary>After the guest wrote one of the registers: keeps a locked BAR at its pin and says what changed.</summary>
    internal ConfigChange Written(in RegisterWrite write)
    {
        if (!IsPinHeld || Pin is not { } pin)
        {
            return Changed(write.Before, write.After);
        }

        int shift = write.Register == _register ? 0 : 32;
        ulong lanes = (ulong)write.Lanes << shift & _addressMask;
        _requested = (_requested & ~lanes) | ((ulong)write.Written << shift & lanes);
        if (PinPolicy != BarPinPolicy.Follow)
        {
            uint halfMask = (uint)(_addressMask >> shift);
            uint shown = IsSizing(shift, pin) ? halfMask : (uint)(pin.Value >> shift) & halfMask;
            _config.Set(write.Register, shown, halfMask);
        }

        ConfigChange change = Changed(write.Before, _config.Get(write.Register));
        if (IsMoved)
        {
            MoveAttempts++;
            LastMoveAttempt = new GuestAddress(_requested);
            change |= ConfigChange.PinnedBarWrite;
        }

        return change;
    }

    private static uint TypeBits(BarKind kind) => kind switch
    {
        BarKind.Io => 0b0001,
        BarKind.Memory32Prefetchable => 0b1000,
        BarKind.Memory64 => 0b0100,
        BarKind.Memory64Prefetchable => 0b1100,
        _ => 0,
    };

    // A half is being sized while all of its address bits are ones; a half whose pin is all ones anyway cannot be told from one at rest.
    private bool IsSizing(int shift, GuestAddress pin)
    {
        uint halfMask = (uint)(_addressMask >> shift);
        return ((uint)(_requested >> shift) & halfMask) == halfMask && ((uint)(pin.Value >> shift) & halfMask) != halfMask;
    }

    private ConfigChange Changed(uint before, uint after)
    {
        if (before == after)
        {
            return ConfigChange.None;
        }

        bool locked = HeldPin is not null;
        bool enableChanged = Kind == BarKind.Rom && ((before ^ after) & 1) != 0;
        bool moves = enableChanged || (!locked && IsEnabled);
        return moves && IsSpaceEnabled
            ? ConfigChange.BarProgrammed | ConfigChange.DecodeMap
            : ConfigChange.BarProgrammed;
    }

    private void DefineRegisters()
    {
        _addressMask = ~(Size - 1) & (Kind.Is64Bit() ? ulong.MaxValue : uint.MaxValue);
        uint enable = Kind == BarKind.Rom ? 1u : 0u;
        _config.Define(_register, 4, TypeBits(Kind), (uint)_addressMask | enable);
        if (Kind.Is64Bit())
        {
            _config.Define(_register + 4, 4, 0, (uint)(_addressMask >> 32));
        }
    }

    private ulong ReadRegister() => Kind.Is64Bit()
        ? _config.Get(_register) | (ulong)_config.Get(_register + 4) << 32
        : _config.Get(_register);

    private void WriteAddress(ulong address)
    {
        _config.Set(_register, (uint)address, (uint)_addressMask);
        if (Kind.Is64Bit())
        {
            _config.Set(_register + 4, (uint)(address >> 32), (uint)(_addressMask >> 32));
        }
    }

    private void CheckAddress(GuestAddress address)
    {
        ulong limit = Kind switch
        {
            BarKind.Io => 0xFFFF,
            _ when Kind.Is64Bit() => long.MaxValue,
            _ => uint.MaxValue,
        };
        if (address == GuestAddress.Zero || !address.IsAligned(Size) || address.Value > limit || limit - address.Value < Size - 1)
        {
            throw new ArgumentException(
                $"{Name} of {Function.Name} ({Kind.Keyword()}, {ByteSize.Format(Size)}) cannot be at {address}: the address must be a non-zero multiple of the "
                    + $"size that ends at or below 0x{limit:x}",
                nameof(address));
        }
    }
}
