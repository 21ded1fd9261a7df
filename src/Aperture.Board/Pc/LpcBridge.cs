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

    // PMBASE's address bits 15:7, ACPI_CNTL's enable and SCI select, RCBA's base 31:14 and enable (sections 13.1.13, 13.1.14, 13.1.35).
    private const ushort PmBaseBits = 0xFF80;
    private const byte AcpiControlBits = 0x87;
    private const uint RootComplexBits = 0xFFFF_C001;
    private const int Device = 0x1F;
    private const int RouteA = 0x60;
    private const int RouteE = 0x68;
    private const int RootComplexBase = 0xF0;

    // GEN_PMCON_1 and its SMI_LOCK, which only a reset clears (section 13.8.1.1).
    private const int PowerManagement1 = 0xA0;
    private const ushort SmiLock = 1 << 4;
    private readonly bool _hasManagementMode;

    /// <summary>Makes the bridge.</summary>
    /// <param name="hasManagementMode">There are SMIs, which can be locked.</param>
    public LpcBridge(bool hasManagementMode = false)
        : base(Place.Name, new PciIdentity(PcIds.IntelVendor, PcIds.Ich9LpcBridge, PcIds.IsaBridgeClass, Revision: 2), ConfigSpace.ConventionalSize)
    {
        Config.Define(PmBaseRegister, 4, 1, writable: PmBaseBits);
        Config.Define(AcpiControlRegister, 1, 0, writable: AcpiControlBits);
        for (int pirq = 0; pirq < 4; pirq++)
        {
            Config.Define(RouteA + pirq, 1, PirqRoute.Off, PirqRoute.WritableMask);
            Config.Define(RouteE + pirq, 1, PirqRoute.Off, PirqRoute.WritableMask);
        }

        Config.Define(RootComplexBase, 4, 0, writable: RootComplexBits);
        _hasManagementMode = hasManagementMode;
        if (hasManagementMode)
        {
            Config.Define(PowerManagement1, 2, 0, writable: SmiLock);
        }
    }

    /// <summary>Its place on the root bus: 1f.0.</summary>
    public static ChipsetPlace Place { get; } = new("lpc", Device << 3);

    /// <summary>The first port of the ACPI block, or null while it does not decode.</summary>
    public ushort? PmBase => (Config.Read(AcpiControlRegister, 1) & AcpiEnable) != 0 && Config.Read(PmBaseRegister, 2) is > 1 and uint value
        ? (ushort)(value & PmBaseBits)
        : null;

    /// <summary>SMI_LOCK: GBL_SMI_EN is to stay as it is.</summary>
    public bool IsSmiLocked => _hasManagementMode && (Config.Read(PowerManagement1, 2) & SmiLock) != 0;

    /// <summary>Where PIRQA (0) to PIRQH (7) goes.</summary>
    public PirqRoute RouteOf(int pirq) => new((byte)Config.Read((pirq < 4 ? RouteA : RouteE - 4) + pirq, 1));

    /// <summary>Programs PMBASE and enables the block, as firmware does.</summary>
    public void ProgramPmBase(ushort first)
    {
        Config.Set(PmBaseRegister, first, PmBaseBits);
        Config.Set(AcpiControlRegister, AcpiEnable, AcpiEnable);
    }

    /// <inheritdoc/>
    protected override bool OnConfigWriting(int offset, int size, ref uint value)
    {
        if (IsSmiLocked && offset == PowerManagement1)
        {
            value |= SmiLock;
        }

        return true;
    }

    /// <inheritdoc/>
    protected override ConfigChange OnConfigWritten(int offset, int size, uint value) =>
        offset is >= PmBaseRegister and < RouteE + 4 || (_hasManagementMode && offset == PowerManagement1) ? ConfigChange.DeviceSpecific : ConfigChange.None;
}
