namespace Aperture.Firmware;

/// <summary>Builds every ACPI table of a machine.</summary>
public static class AcpiTables
{
    /// <summary>
    /// Builds RSDP, XSDT, FACS, DSDT, FADT, MADT and, with an ECAM window, MCFG, packed upward from <paramref name="baseAddress"/>. The size
    /// depends only on the description, so a caller that wants them at the end of RAM builds once to learn it.
    /// </summary>
    /// <param name="platform">The machine.</param>
    /// <param name="baseAddress">A multiple of 64; in E0000-FFFFF the RSDP is also found by scanning (ACPI 6.5 5.2.5.1).</param>
    /// <exception cref="ApertureException">The description cannot be told: an APIC id above 254, a window outside its kind's range, a table above 4 GiB.</exception>
    public static AcpiTableSet Build(PlatformDescription platform, GuestAddress baseAddress) => throw new NotImplementedException();
}
