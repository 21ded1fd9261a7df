using Aperture.Firmware.Platform;

namespace Aperture.Firmware.Acpi.Arm;

/// <summary>Builds every ACPI table of a machine of Arm's kind (Arm Base Boot Requirements 2.1, section 8.5: the tables that a server has).</summary>
public static class VirtTables
{
    /// <summary>Builds RSDP, XSDT, FADT, MADT, GTDT, MCFG, IORT, SPCR and DSDT, packed upward from <paramref name="baseAddress"/>.</summary>
    /// <param name="machine">The machine.</param>
    /// <param name="baseAddress">A multiple of 64.</param>
    /// <exception cref="ApertureException">The base is not such a multiple.</exception>
    public static AcpiTableSet Build(VirtDescription machine, GuestAddress baseAddress)
    {
        ArgumentNullException.ThrowIfNull(machine);
        if (!baseAddress.IsAligned(AcpiTables.Alignment))
        {
            throw new ApertureException($"the ACPI tables cannot start at {baseAddress}: it is not a multiple of {AcpiTables.Alignment}");
        }

        byte[] dsdt = VirtDsdt.Build(machine);
        List<(string Signature, byte[] Bytes)> plain =
        [
            ("APIC", VirtMadt.Build(machine)), ("GTDT", Gtdt.Build()), ("MCFG", Mcfg.Build(machine.Pcie.Ecam)), ("IORT", Iort.Build(machine)),
            ("SPCR", Spcr.Build(machine)),
        ];
        GuestAddress next = baseAddress;
        GuestAddress rsdpAt = Next(RootTables.RsdpSize);
        GuestAddress xsdtAt = Next(AcpiTableBuilder.HeaderSize + (8 * (plain.Count + 1)));
        GuestAddress fadtAt = Next(VirtFadt.Size);
        List<AcpiTable> placed = [.. plain.Select(table => new AcpiTable(table.Signature, Next(table.Bytes.Length), table.Bytes))];
        GuestAddress dsdtAt = Next(dsdt.Length);
        List<AcpiTable> tables =
        [
            new("RSD PTR ", rsdpAt, RootTables.Rsdp(xsdtAt)),
            new("XSDT", xsdtAt, RootTables.Xsdt([fadtAt, .. placed.Select(table => table.Address)])),
            new("FACP", fadtAt, VirtFadt.Build(dsdtAt)),
            .. placed,
            new("DSDT", dsdtAt, dsdt),
        ];
        return new AcpiTableSet(rsdpAt, new AddressRange(baseAddress, dsdtAt + (ulong)dsdt.Length - baseAddress), tables);

        GuestAddress Next(int length)
        {
            GuestAddress at = next;
            next = (at + (ulong)length).AlignUp(AcpiTables.Alignment);
            return at;
        }
    }
}
