using Aperture.Pci;
using Aperture.Pci.Registers;

namespace Aperture.Board.Pc;

/// <summary>PIIX3's ISA bridge at 00:01.0 (8086:7000, Intel 82371SB datasheet, section 2.2): the PIRQ routes act.</summary>
internal sealed class PiixIsaBridge : PciFunction
{
    private const int RouteA = 0x60;

    /// <summary>Makes the bridge.</summary>
    public PiixIsaBridge()
        : base(Place.Name, new PciIdentity(PcIds.IntelVendor, PcIds.Piix3IsaBridge, PcIds.IsaBridgeClass, Revision: 0), ConfigSpace.ConventionalSize)
    {
        for (int pirq = 0; pirq < 4; pirq++)
        {
            Config.Define(RouteA + pirq, 1, PirqRoute.Off, PirqRoute.WritableMask);
        }
    }

    /// <summary>Its place on the root bus: 01.0.</summary>
    public static ChipsetPlace Place { get; } = new("isa", 1 << 3);

    /// <summary>Where PIRQA (0) to PIRQD (3) goes.</summary>
    public PirqRoute RouteOf(int pirq) => new((byte)Config.Read(RouteA + pirq, 1));

    /// <inheritdoc/>
    protected override ConfigChange OnConfigWritten(int offset, int size, uint value) =>
        offset is >= RouteA and < RouteA + 4 ? ConfigChange.DeviceSpecific : ConfigChange.None;
}

/// <summary>PIIX4's power management function at 00:01.3 (8086:7113, Intel 82371AB datasheet, section 7.1): PMBASE and its enable act.</summary>
internal sealed class PiixPowerManagement : PciFunction
{
    /// <summary>Ports of the ACPI block.</summary>
    public const ushort AcpiLength = 64;

    private const int PmBaseRegister = 0x40;
    private const int DeviceActivityB = 0x58;
    private const int PmEnableRegister = 0x80;
    private const int SmbBaseRegister = 0x90;
    private const int SmbConfigRegister = 0xD2;

    // The address bits 15:6 and 15:4 of the two bases, the enable bit of PMREGMISC, and SMBHSTCFG's host enable and interrupt select (section 7.1).
    private const ushort PmBaseBits = 0xFFC0;
    private const ushort SmbBaseBits = 0xFFF0;
    private const byte PmEnable = 0x01;
    private const byte SmbConfigBits = 0x0F;

    // Set by firmware once its SMI handler stands. Set from the start it says that none is needed.
    private const uint ApmSmiEnable = 1 << 25;

    /// <summary>Makes the function.</summary>
    public PiixPowerManagement()
        : base(Place.Name, new PciIdentity(PcIds.IntelVendor, PcIds.Piix4PowerManagement, PcIds.OtherBridgeClass, Revision: 3), ConfigSpace.ConventionalSize)
    {
        Config.Define(PmBaseRegister, 4, 1, writable: PmBaseBits);
        Config.Define(DeviceActivityB, 4, ApmSmiEnable, writable: uint.MaxValue);
        Config.Define(PmEnableRegister, 1, 0, writable: PmEnable);
        Config.Define(SmbBaseRegister, 4, 1, writable: SmbBaseBits);
        Config.Define(SmbConfigRegister, 1, 0, writable: SmbConfigBits);

        // The SCI is interrupt 9, which the register tells (section 7.1.12).
        Config.Define(PciRegisters.InterruptLine, 1, 9);
        SetInterruptPin(1);
    }

    /// <summary>Its place on the root bus: 01.3.</summary>
    public static ChipsetPlace Place { get; } = new("pm", (1 << 3) | 3);

    /// <summary>The first port of the ACPI block, or null while it does not decode.</summary>
    public ushort? PmBase => (Config.Read(PmEnableRegister, 1) & PmEnable) != 0 && Config.Read(PmBaseRegister, 2) is > 1 and uint value
        ? (ushort)(value & PmBaseBits)
        : null;

    /// <summary>Programs PMBASE and enables the block, as firmware does.</summary>
    public void ProgramPmBase(ushort first)
    {
        Config.Set(PmBaseRegister, first, PmBaseBits);
        Config.Set(PmEnableRegister, PmEnable, PmEnable);
    }

    /// <inheritdoc/>
    protected override ConfigChange OnConfigWritten(int offset, int size, uint value) =>
        offset is >= PmBaseRegister and <= PmEnableRegister ? ConfigChange.DeviceSpecific : ConfigChange.None;
}
