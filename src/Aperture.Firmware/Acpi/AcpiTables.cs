using Aperture.Firmware.Platform;

namespace Aperture.Firmware.Acpi;

/// <summary>Builds every ACPI table of a machine.</summary>
public static class AcpiTables
{
    /// <summary>Every table starts at a multiple of this; the FACS requires it (ACPI 6.5 5.2.10).</summary>
    public const int Alignment = 64;

    /// <summary>
    /// Builds RSDP, XSDT, FACS, DSDT, FADT, MADT and, where the machine has them, MCFG and HPET, packed upward from <paramref name="baseAddress"/>. The size
    /// depends only on the description, so a caller that wants them at the end of RAM builds once to learn it.
    /// </summary>
    /// <param name="platform">The machine.</param>
    /// <param name="baseAddress">A multiple of 64; in E0000-FFFFF the RSDP is also found by scanning (ACPI 6.5 5.2.5.1).</param>
    /// <exception cref="ApertureException">The description cannot be told: an APIC id above 254, a window outside its kind's range, a table above 4
    /// GiB.</exception>
    public static AcpiTableSet Build(PlatformDescription platform, GuestAddress baseAddress)
    {
        ArgumentNullException.ThrowIfNull(platform);
        PlatformCheck.Check(platform);
        if (!baseAddress.IsAligned(Alignment))
        {
            throw new ApertureException($"the ACPI tables cannot start at {baseAddress}: it is not a multiple of {Alignment}");
        }

        byte[] dsdt = Dsdt.Build(platform);
        byte[] madt = Madt.Build(platform);
        List<(string Signature, byte[] Bytes)> optional = [];
        if (platform.Ecam is { } ecam)
        {
            optional.Add(("MCFG", Mcfg.Build(ecam)));
        }

        if (platform.Hpet is { } hpet)
        {
            optional.Add(("HPET", HpetTable.Build(hpet)));
        }

        // The pointers come first, so that the RSDP is at the base; what they point to follows.
        int pointed = 2 + optional.Count;
        var place = new Placer(baseAddress);
        GuestAddress rsdpAt = place.Next(RootTables.RsdpSize);
        GuestAddress xsdtAt = place.Next(AcpiTableBuilder.HeaderSize + 8 * pointed);
        GuestAddress facsAt = place.Next(RootTables.FacsSize);
        GuestAddress fadtAt = place.Next(Fadt.Size);
        GuestAddress madtAt = place.Next(madt.Length);
        List<AcpiTable> placed = [.. optional.Select(table => new AcpiTable(table.Signature, place.Next(table.Bytes.Length), table.Bytes))];
        GuestAddress dsdtAt = place.Next(dsdt.Length);

        List<AcpiTable> tables =
        [
            new("RSD PTR ", rsdpAt, RootTables.Rsdp(xsdtAt)),
            new("XSDT", xsdtAt, RootTables.Xsdt([fadtAt, madtAt, .. placed.Select(table => table.Address)])),
            new("FACS", facsAt, RootTables.Facs()),
            new("FACP", fadtAt, Fadt.Build(platform, facsAt, dsdtAt)),
            new("APIC", madtAt, madt),
            .. placed,
            new("DSDT", dsdtAt, dsdt),
        ];
        return new AcpiTableSet(rsdpAt, Area(baseAddress, dsdtAt + ((ulong)dsdt.Length - 1)), tables);
    }

    /// <summary>The FADT's pointers to FACS and DSDT are given in both widths, so everything stays below 4 GiB.</summary>
    private static AddressRange Area(GuestAddress first, GuestAddress last) => first <= last && last.Value <= uint.MaxValue
        ? AddressRange.FromBounds(first, last)
        : throw new ApertureException($"the ACPI tables at {first}-{last} do not lie below 4 GiB");

    private sealed class Placer(GuestAddress next)
    {
        private GuestAddress _next = next;

        public GuestAddress Next(int length)
        {
            GuestAddress at = _next;
            _next = (at + (ulong)length).AlignUp(Alignment);
            return at;
        }
    }
}
