using Aperture.Pci;

namespace Aperture.Machine.Board;

/// <summary>
/// ICH9's LPC bridge at 00:1f.0 (8086:2918, Intel ICH9 datasheet, section 13.1): where the guest reads the ACPI base and the PIRQ routing. The ACPI block
/// stays at <see cref="AcpiBase"/>, which the register reports as fixed; interrupts go to I/O APIC pins 16 to 23 as the tables say.
/// </summary>
public sealed class LpcBridge : PciFunction
{
    /// <summary>First port of the ACPI block.</summary>
    public const ushort AcpiBase = 0x600;

    private const int PmBaseRegister = 0x40;
    private const int AcpiControlRegister = 0x44;
    private const byte AcpiEnable = 0x80;
    private const byte RoutingOff = 0x80;

    /// <summary>Makes the bridge.</summary>
    public LpcBridge()
        : base("lpc", new PciIdentity(0x8086, 0x2918, ClassCode: 0x06_0100, Revision: 2), ConfigSpace.ConventionalSize)
    {
        Config.Define(PmBaseRegister, 4, AcpiBase | 1u);
        Config.Define(AcpiControlRegister, 1, AcpiEnable);
        for (int pirq = 0; pirq < 4; pirq++)
        {
            Config.Define(0x60 + pirq, 1, RoutingOff, writable: 0x8F);
            Config.Define(0x68 + pirq, 1, RoutingOff, writable: 0x8F);
        }
    }
}
