using Aperture.Pci;
using Aperture.Pci.Registers;

namespace Aperture.Board.Pc;

/// <summary>
/// ICH9's LPC bridge at 00:1f.0 (8086:2918, Intel ICH9 datasheet, section 13.1): PMBASE and the PIRQ routes act, RCBA keeps what is written.
/// </summary>
internal sealed class LpcBridge : PciFunction
{
    /// <summary>Where firmware customarily puts the ACPI block, and direct boot too.</summary>
    public const ushort AcpiBase = 0x600;

    /// <summary>Ports of the ACPI block.</summary>
    public const ushort AcpiLength = 128;

    private const int PmBaseRegister = 0x40;
    private const int AcpiControlRegister = 0x44;
    private const byte AcpiEnable = 0x80;
    private const int RouteA = 0x60;
    private const int RouteE = 0x68;
    private const int RootComplexBase = 0xF0;

    /// <summary>Makes the bridge.</summary>
    public LpcBridge()
        : base(Place.Name, new PciIdentity(0x8086, 0x2918, ClassCode: 0x06_0100, Revision: 2), ConfigSpace.ConventionalSize)
    {
        Config.Define(PmBaseRegister, 4, 1, writable: 0xFF80);
        Config.Define(AcpiControlRegister, 1, 0, writable: 0x87);
        for (int pirq = 0; pirq < 4; pirq++)
        {
            Config.Define(RouteA + pirq, 1, PirqRoute.Off, PirqRoute.WritableMask);
            Config.Define(RouteE + pirq, 1, PirqRoute.Off, PirqRoute.WritableMask);
        }

        Config.Define(RootComplexBase, 4, 0, writable: 0xFFFF_C001);
    }

    /// <summary>Its place on the root bus: 1f.0.</summary>
    public static ChipsetPlace Place { get; } = new("lpc", 0x1F << 3);

    /// <summary>The first port of the ACPI block, or null while it does not decode.</summary>
    public ushort? PmBase => (Config.Read(AcpiControlRegister, 1) & AcpiEnable) != 0 && Config.Read(PmBaseRegister, 2) is > 1 and uint value
        ? (ushort)(value & 0xFF80)
        : null;

    /// <summary>Where PIRQA (0) to PIRQH (7) goes.</summary>
    public PirqRoute RouteOf(int pirq) => new((byte)Config.Read((pirq < 4 ? RouteA : RouteE - 4) + pirq, 1));

    /// <summary>Programs PMBASE and enables the block, as firmware does.</summary>
    public void ProgramPmBase(ushort first)
    {
        Config.Set(PmBaseRegister, first, 0xFF80);
        Config.Set(AcpiControlRegister, AcpiEnable, AcpiEnable);
    }

    /// <inheritdoc/>
    protected override ConfigChange OnConfigWritten(int offset, int size, uint value) =>
        offset is >= PmBaseRegister and < RouteE + 4 ? ConfigChange.DeviceSpecific : ConfigChange.None;
}
