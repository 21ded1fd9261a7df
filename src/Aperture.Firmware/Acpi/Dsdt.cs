namespace Aperture.Firmware;

/// <summary>The differentiated table: the machine's devices in AML (ACPI 6.5 5.2.11.1).</summary>
internal static class Dsdt
{
    public static byte[] Build(PlatformDescription platform)
    {
        // Revision 2 makes AML integers 64 bits wide.
        var table = new AcpiTableBuilder("DSDT", 2);
        table.Append(Aml.Scope("\\_SB", [.. Processors(platform), HostBridgeAml.Device(platform), Motherboard(platform), .. Timers(platform)]).Bytes);
        table.Append(SoftOff(platform).Bytes);
        return table.Finish();
    }

    private static IEnumerable<AmlTerm> Processors(PlatformDescription platform)
    {
        for (int i = 0; i < platform.ApicIds.Count; i++)
        {
            // A hexadecimal number keeps four-character names apart up to 256 processors.
            yield return Aml.Device(
                $"CP{i:X2}",
                Aml.Name("_HID", Aml.String("ACPI0007")),
                Aml.Name("_UID", (ulong)i));
        }
    }

    /// <summary>What the board itself occupies: without this reservation Linux does not use the ECAM window (PCI Firmware 3.3 4.1.2).</summary>
    private static AmlTerm Motherboard(PlatformDescription platform)
    {
        List<AmlResource> resources = [];
        for (int port = platform.Pm.Base; port < platform.Pm.Base + platform.Pm.Length; port += 128)
        {
            resources.Add(AmlResource.IO((ushort)port, (byte)Math.Min(128, platform.Pm.Base + platform.Pm.Length - port)));
        }

        if (platform.Ecam is { } ecam)
        {
            resources.Add(ecam.Range.Last.Value <= uint.MaxValue
                ? AmlResource.Memory32Fixed(ecam.Range)
                : AmlResource.QWordMemoryConsumer(ecam.Range));
        }

        return Aml.Device(
            "MBRD",
            Aml.Name("_HID", Aml.EisaId("PNP0C02")),
            Aml.Name("_UID", 1),
            Aml.Name("_CRS", Aml.ResourceTemplate([.. resources])));
    }

    // Without legacy replacement the timers have no ISA interrupt of their own.
    private static IEnumerable<AmlTerm> Timers(PlatformDescription platform) => platform.Hpet is { } hpet
        ? [Aml.Device("HPET", Aml.Name("_HID", Aml.EisaId("PNP0103")), Aml.Name("_UID", 0), Aml.Name("_CRS", Aml.ResourceTemplate(AmlResource.Memory32Fixed(hpet.Range))))]
        : [];

    /// <summary>SLP_TYPa and SLP_TYPb of the soft-off state (ACPI 6.5 7.4.2.6). No other sleep state is offered.</summary>
    private static AmlTerm SoftOff(PlatformDescription platform) =>
        Aml.Name("\\_S5", Aml.Package(platform.SoftOffSleepType, platform.SoftOffSleepType, 0, 0));
}
