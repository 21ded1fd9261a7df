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
    // Two registers of 16 bits each, read and written as one word of 32.
    private const int RemapWord = HubMemoryRegisters.RemapBase;
    private const int TopWord = HubMemoryRegisters.Tom;
    private const int RemapShift = 26;

    // Every piece readable and writable RAM, in the two words that hold the seven registers; the last byte of the second is another's.
    private const uint PamToRamLow = 0x3333_3330;
    private const uint PamToRamHigh = 0x0033_3333;
    private const uint PamHighBytes = 0x00FF_FFFF;
    private readonly SmramRegister _smram;
    private readonly bool _hasManagementMode;

    /// <summary>
    /// Makes the hub in reset state: ECAM off, C0000-FFFFF routed to the ROM, RAM split as <paramref name="memory"/> says. With system management mode SMRAM's
    /// lock locks where RAM is, too: whoever can move RAM can move what SMRAM hides.
    /// </summary>
    public MemoryControllerHub(MemoryRegisters memory, bool hasManagementMode = false)
        : base(Place.Name, HostBridgeIdentity.For(PcIds.MemoryControllerHub, revision: 2), ConfigSpace.ConventionalSize)
    {
        Config.Define(PciExBar.Offset, 4, (uint)PciExBar.ResetValue, writable: PciExBar.LowWritableMask);
        Config.Define(PciExBar.Offset + 4, 4, (uint)(PciExBar.ResetValue >> 32), writable: PciExBar.HighWritableMask);
        Config.Define(PamRegisters.Offset, 1, 0, writable: PamRegisters.FirstWritableMask);
        for (int register = 1; register < PamRegisters.Count; register++)
        {
            Config.Define(PamRegisters.Offset + register, 1, 0, writable: PamRegisters.WritableMask);
        }

        Config.Define(HubMemoryRegisters.RemapBase, 2, HubMemoryRegisters.RemapBaseReset, writable: HubMemoryRegisters.Bits35To26);
        Config.Define(HubMemoryRegisters.RemapLimit, 2, 0, writable: HubMemoryRegisters.Bits35To26);
        _hasManagementMode = hasManagementMode;
        _smram = hasManagementMode
            ? new SmramRegister(Config, HubMemoryRegisters.Smram, (RemapWord, 4), (TopWord, 4), (HubMemoryRegisters.TsegBase, 4), (HubMemoryRegisters.Tolud, 2))
            : new SmramRegister(Config, HubMemoryRegisters.Smram);
        if (hasManagementMode)
        {
            Config.Define(HubMemoryRegisters.ExtendedTseg, 2, 0, writable: ushort.MaxValue);
        }

        Config.Define(
            HubMemoryRegisters.ExtendedSmram, 1, HubMemoryRegisters.ExtendedSmramReset, writable: HubMemoryRegisters.ExtendedSmramWritable);
        Config.Define(HubMemoryRegisters.Tom, 2, HubMemoryRegisters.TomReset, writable: HubMemoryRegisters.Bits35To26);
        Config.Define(HubMemoryRegisters.Touud, 2, 0, writable: HubMemoryRegisters.Bits35To20);
        Config.Define(HubMemoryRegisters.GraphicsBase, 4, 0, writable: HubMemoryRegisters.BaseBits);
        Config.Define(HubMemoryRegisters.GraphicsTableBase, 4, 0, writable: HubMemoryRegisters.BaseBits);
        Config.Define(HubMemoryRegisters.TsegBase, 4, 0, writable: HubMemoryRegisters.BaseBits);
        Config.Define(HubMemoryRegisters.Tolud, 2, HubMemoryRegisters.ToludReset, writable: HubMemoryRegisters.ToludBits);
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
        Config.Set(PamRegisters.Offset, PamToRamLow);
        Config.Set(PamRegisters.Offset + 4, PamToRamHigh, PamHighBytes);
    }

    /// <summary>What TOM, TOLUD, TOUUD and the remap window (datasheet 5.1.25-5.1.37) say.</summary>
    public MemoryRegisters MemorySize
    {
        get
        {
            uint remap = Config.Get(RemapWord);
            uint top = Config.Get(TopWord);
            return new MemoryRegisters(
                new GuestAddress((ulong)(top & HubMemoryRegisters.Bits35To26) << RemapShift),
                new GuestAddress((ulong)(Config.Get(HubMemoryRegisters.Tolud) & HubMemoryRegisters.ToludBits) << 16),
                new GuestAddress((ulong)(top >> 16) << 20),
                new GuestAddress((ulong)(remap & HubMemoryRegisters.Bits35To26) << RemapShift),
                new GuestAddress((((ulong)(remap >> 16) & HubMemoryRegisters.Bits35To26) << RemapShift) | ((1UL << RemapShift) - 1)));
        }
    }

    /// <summary>What the registers say of SMRAM.</summary>
    public SmramControl Smram => new(
        (byte)Config.Read(HubMemoryRegisters.Smram, 1), (byte)Config.Read(HubMemoryRegisters.ExtendedSmram, 1));

    // What those registers hold now and after every reset: how RAM is split until a guest changes it.
    private void SetMemorySize(MemoryRegisters registers)
    {
        Config.SetDefault(RemapWord, (uint)registers.RemapLimitRegister << 16 | registers.RemapBaseRegister, uint.MaxValue);
        Config.SetDefault(TopWord, (uint)registers.TouudRegister << 16 | registers.TomRegister, uint.MaxValue);
        Config.SetDefault(HubMemoryRegisters.Tolud, registers.ToludRegister, HubMemoryRegisters.ToludBits);
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
        if (_hasManagementMode && Config.Read(HubMemoryRegisters.ExtendedTseg, 2) == HubMemoryRegisters.ExtendedTsegQuery)
        {
            Config.Set(HubMemoryRegisters.ExtendedTseg, (uint)(SmramControl.ExtendedTsegSize >> 20), ushort.MaxValue);
        }

        bool routes = Touches(offset, size, PciExBar.Offset, 8) || Touches(offset, size, PamRegisters.Offset, PamRegisters.Count)
            || Touches(offset, size, RemapWord, 4) || Touches(offset, size, TopWord, 4) || Touches(offset, size, HubMemoryRegisters.Tolud, 2)
            || (_hasManagementMode && Touches(offset, size, HubMemoryRegisters.Smram, 2));
        return routes ? ConfigChange.DeviceSpecific : ConfigChange.None;
    }

    private static bool Touches(int offset, int size, int register, int length) => offset < register + length && register < offset + size;
}
