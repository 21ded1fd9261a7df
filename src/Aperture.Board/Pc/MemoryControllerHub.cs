using System.Buffers.Binary;
using Aperture.Pci;
using Aperture.Pci.Registers;
using Aperture.Placement.Platforms;

namespace Aperture.Board.Pc;

/// <summary>
/// The Q35 memory controller hub's function 00:00.0 (8086:29C0, Intel 3 Series Express Chipset datasheet, section 5): conventional configuration
/// space. PCIEXBAR, PAM, TOLUD, TOUUD and the remap window act.
/// </summary>
internal sealed class MemoryControllerHub : PciFunction
{
    private const int SmramOffset = 0x9D;
    private const int RemapRegisters = 0x98;
    private const int TopRegisters = 0xA0;
    private const int ToludRegister = 0xB0;
    private const int RemapShift = 26;
    private readonly SmramRegister _smram;

    /// <summary>Makes the hub in reset state: ECAM off, C0000-FFFFF routed to the ROM, RAM split as <paramref name="memory"/> says.</summary>
    public MemoryControllerHub(MemoryRegisters memory)
        : base(Place.Name, HostBridgeIdentity.For(0x29C0, revision: 2), ConfigSpace.ConventionalSize)
    {
        Config.Define(PciExBar.Offset, 4, (uint)PciExBar.ResetValue, writable: PciExBar.LowWritableMask);
        Config.Define(PciExBar.Offset + 4, 4, (uint)(PciExBar.ResetValue >> 32), writable: PciExBar.HighWritableMask);
        Config.Define(PamRegisters.Offset, 1, 0, writable: 0x30);
        for (int register = 1; register < PamRegisters.Count; register++)
        {
            Config.Define(PamRegisters.Offset + register, 1, 0, writable: 0x33);
        }

        // REMAPBASE above REMAPLIMIT: nothing is remapped after a reset.
        Config.Define(0x98, 2, 0x03FF, writable: 0x03FF);
        Config.Define(0x9A, 2, 0, writable: 0x03FF);
        _smram = new SmramRegister(Config, SmramOffset);
        Config.Define(0x9E, 1, 0x38, writable: 0x87);
        Config.Define(0xA0, 2, 0x0001, writable: 0x03FF);
        Config.Define(0xA2, 2, 0, writable: 0xFFFF);
        Config.Define(0xA4, 4, 0, writable: 0xFFF0_0000);
        Config.Define(0xA8, 4, 0, writable: 0xFFF0_0000);
        Config.Define(0xAC, 4, 0, writable: 0xFFF0_0000);
        Config.Define(0xB0, 2, 0x0010, writable: 0xFFF0);
        SetMemorySize(memory);
    }

    /// <summary>Its place on the root bus: 00.0.</summary>
    public static ChipsetPlace Place { get; } = new("mch", 0);

    /// <summary>Where the ECAM window is.</summary>
    public PciExBar PciExBar => new(Config.Get(PciExBar.Offset) | (ulong)Config.Get(PciExBar.Offset + 4) << 32);

    /// <summary>How piece <paramref name="segment"/> of C0000-FFFFF is routed.</summary>
    public PamAttribute Pam(int segment)
    {
        Span<byte> registers = stackalloc byte[8];
        BinaryPrimitives.WriteUInt32LittleEndian(registers, Config.Get(PamRegisters.Offset));
        BinaryPrimitives.WriteUInt32LittleEndian(registers[4..], Config.Get(PamRegisters.Offset + 4));
        return PamRegisters.Attribute(registers, segment);
    }

    /// <summary>Programs PCIEXBAR as firmware does.</summary>
    public void ProgramPciExBar(PciExBar value)
    {
        Config.Set(PciExBar.Offset, (uint)value.Value, PciExBar.LowWritableMask);
        Config.Set(PciExBar.Offset + 4, (uint)(value.Value >> 32), PciExBar.HighWritableMask);
    }

    /// <summary>Routes all of C0000-FFFFF to RAM, as firmware leaves it.</summary>
    public void ProgramPamToRam()
    {
        Config.Set(PamRegisters.Offset, 0x3333_3330);
        Config.Set(PamRegisters.Offset + 4, 0x0033_3333, 0x00FF_FFFF);
    }

    /// <summary>What TOM, TOLUD, TOUUD and the remap window (datasheet 5.1.25-5.1.37) say.</summary>
    public MemoryRegisters MemorySize
    {
        get
        {
            uint remap = Config.Get(RemapRegisters);
            uint top = Config.Get(TopRegisters);
            return new MemoryRegisters(
                new GuestAddress((ulong)(top & 0x3FF) << RemapShift),
                new GuestAddress((ulong)(Config.Get(ToludRegister) & 0xFFF0) << 16),
                new GuestAddress((ulong)(top >> 16) << 20),
                new GuestAddress((ulong)(remap & 0x3FF) << RemapShift),
                new GuestAddress((((ulong)(remap >> 16) & 0x3FF) << RemapShift) | ((1UL << RemapShift) - 1)));
        }
    }

    // What those registers hold now and after every reset: how RAM is split until a guest changes it.
    private void SetMemorySize(MemoryRegisters registers)
    {
        Config.SetDefault(RemapRegisters, (uint)registers.RemapLimitRegister << 16 | registers.RemapBaseRegister, uint.MaxValue);
        Config.SetDefault(TopRegisters, (uint)registers.TouudRegister << 16 | registers.TomRegister, uint.MaxValue);
        Config.SetDefault(ToludRegister, registers.ToludRegister, 0x0000_FFF0);
    }

    /// <inheritdoc/>
    protected override bool OnConfigWriting(int offset, int size, ref uint value)
    {
        // Size code 3 is reserved: the write is ignored and the old window stays.
        if (offset == PciExBar.Offset && !new PciExBar(value).IsValid)
        {
            return false;
        }

        value = _smram.Filter(offset, size, value);
        return true;
    }

    /// <inheritdoc/>
    protected override ConfigChange OnConfigWritten(int offset, int size, uint value)
    {
        _smram.Settle();
        bool routes = Touches(offset, size, PciExBar.Offset, 8) || Touches(offset, size, PamRegisters.Offset, PamRegisters.Count)
            || Touches(offset, size, RemapRegisters, 4) || Touches(offset, size, TopRegisters, 4) || Touches(offset, size, ToludRegister, 2);
        return routes ? ConfigChange.DeviceSpecific : ConfigChange.None;
    }

    private static bool Touches(int offset, int size, int register, int length) => offset < register + length && register < offset + size;
}
