using Aperture.Pci;
using Aperture.Pci.Registers;

namespace Aperture.Board.Pc;

/// <summary>PIIX3's ISA bridge at 00:01.0 (8086:7000, Intel 82371SB datasheet, section 2.2): the PIRQ routes act.</summary>
internal sealed class PiixIsaBridge : PciFunction
{
    private const int RouteA = 0x60;

    /// <summary>Makes the bridge.</summary>
    public PiixIsaBridge()
        : base(Place.Name, new PciIdentity(0x8086, 0x7000, ClassCode: 0x06_0100, Revision: 0), ConfigSpace.ConventionalSize)
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

    // Set by firmware once its SMI handler stands. Set from the start it says that none is needed.
    private const uint ApmSmiEnable = 1 << 25;

    /// <summary>Makes the function.</summary>
    public PiixPowerManagement()
        : base(Place.Name, new PciIdentity(0x8086, 0x7113, ClassCode: 0x06_8000, Revision: 3), ConfigSpace.ConventionalSize)
    {
        Config.Define(PmBaseRegister, 4, 1, writable: 0xFFC0);
        Config.Define(DeviceActivityB, 4, ApmSmiEnable, writable: uint.MaxValue);
        Config.Define(PmEnableRegister, 1, 0, writable: 0x01);
        Config.Define(SmbBaseRegister, 4, 1, writable: 0xFFF0);
        Config.Define(SmbConfigRegister, 1, 0, writable: 0x0F);

        // The SCI is interrupt 9, which the register tells (section 7.1.12).
        Config.Define(PciRegisters.InterruptLine, 1, 9);
        SetInterruptPin(1);
    }

    /// <summary>Its place on the root bus: 01.3.</summary>
    public static ChipsetPlace Place { get; } = new("pm", (1 << 3) | 3);

    /// <summary>The first port of the ACPI block, or null while it does not decode.</summary>
    public ushort? PmBase => (Config.Read(PmEnableRegister, 1) & 1) != 0 && Config.Read(PmBaseRegister, 2) is > 1 and uint value
        ? (ushort)(value & 0xFFC0)
        : null;

    /// <summary>Programs PMBASE and enables the block, as firmware does.</summary>
    public void ProgramPmBase(ushort first)
    {
        Config.Set(PmBaseRegister, first, 0xFFC0);
        Config.Set(PmEnableRegister, 1, 1);
    }

    /// <inheritdoc/>
    protected override ConfigChange OnConfigWritten(int offset, int size, uint value) =>
        offset is >= PmBaseRegister and <= PmEnableRegister ? ConfigChange.DeviceSpecific : ConfigChange.None;
}
