using System.Buffers.Binary;
using Aperture.Pci;
using Aperture.Pci.Registers;

namespace Aperture.Board.Pc;

/// <summary>
/// The 440FX's PMC at 00:00.0 (8086:1237, Intel 440FX PCIset datasheet, section 3.2): PAM acts, SMRAM keeps its bits and its lock.
/// </summary>
internal sealed class I440fxHostBridge : PciFunction
{
    private const int Pam = 0x59;
    private const int SmramOffset = 0x72;

    // Every piece readable and writable RAM, in the two words that hold the seven registers; the first byte of the first is another's.
    private const uint PamToRamLow = 0x3333_3000;
    private const uint PamLowBytes = 0xFFFF_FF00;
    private const uint PamToRamHigh = 0x3333_3333;

    /// <summary>Makes the bridge in reset state: C0000-FFFFF routed to the ROM.</summary>
    public I440fxHostBridge()
        : base(Place.Name, HostBridgeIdentity.For(PcIds.I440fx, revision: 2), ConfigSpace.ConventionalSize)
    {
        Config.Define(Pam, 1, 0, writable: PamRegisters.FirstWritableMask);
        for (int register = 1; register < PamRegisters.Count; register++)
        {
            Config.Define(Pam + register, 1, 0, writable: PamRegisters.WritableMask);
        }

        Smram = new SmramRegister(Config, SmramOffset);
    }

    /// <summary>Its place on the root bus: 00.0.</summary>
    public static ChipsetPlace Place { get; } = new("pmc", 0);

    private SmramRegister Smram { get; }

    /// <summary>How piece <paramref name="segment"/> of C0000-FFFFF is routed.</summary>
    public PamAttribute PamOf(int segment)
    {
        Span<byte> registers = stackalloc byte[8];
        BinaryPrimitives.WriteUInt32LittleEndian(registers, Config.Get(Pam & ~3) >> 8 | Config.Get((Pam & ~3) + 4) << 24);
        BinaryPrimitives.WriteUInt32LittleEndian(registers[4..], Config.Get((Pam & ~3) + 4) >> 8);
        return PamRegisters.Attribute(registers, segment);
    }

    /// <summary>Routes all of C0000-FFFFF to RAM, as firmware leaves it.</summary>
    public void ProgramPamToRam()
    {
        Config.Set(Pam & ~3, PamToRamLow, PamLowBytes);
        Config.Set((Pam & ~3) + 4, PamToRamHigh);
    }

    /// <inheritdoc/>
    protected override bool OnConfigWriting(int offset, int size, ref uint value)
    {
        value = Smram.Filter(offset, size, value);
        return true;
    }

    /// <inheritdoc/>
    protected override ConfigChange OnConfigWritten(int offset, int size, uint value)
    {
        Smram.Settle();
        return offset < Pam + PamRegisters.Count && offset + size > Pam ? ConfigChange.DeviceSpecific : ConfigChange.None;
    }
}
