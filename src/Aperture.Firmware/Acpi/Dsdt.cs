using Aperture.Firmware.Aml;
using Aperture.Firmware.Platform;

namespace Aperture.Firmware.Acpi;

/// <summary>The differentiated table: the machine's devices in AML (ACPI 6.5 5.2.11.1).</summary>
internal static class Dsdt
{
    public static byte[] Build(PlatformDescription platform)
    {
        // Revision 2 makes AML integers 64 bits wide.
        var table = new AcpiTableBuilder("DSDT", 2);
        table.Append(Asl.Scope("\\_SB", [.. Processors(platform), HostBridgeAml.Device(platform), Motherboard(platform), .. Timers(platform)]).Bytes);
        table.Append(SoftOff(platform).Bytes);
        return table.Finish();
    }

    private static IEnumerable<AmlTerm> Processors(PlatformDescription platform)
    {
        for (int i = 0; i < platform.ApicIds.Count; i++)
        {
            // A hexadecimal number keeps four-character names apart up to 256 processors.
            yield return Asl.Device(
                $"CP{i:X2}",
                Asl.Name("_HID", Asl.String("ACPI0007")),
                Asl.Name("_UID", (ulong)i));
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

        if (platform.Handover is { } handover)
        {
            resources.Add(AmlResource.IO((ushort)handover.Start.Value, (byte)handover.Size));
        }

        if (platform.Ecam is { } ecam)
        {
            resources.Add(ecam.Range.Last.Value <= uint.MaxValue
                ? AmlResource.Memory32Fixed(ecam.Range)
                : AmlResource.QWordMemoryConsumer(ecam.Range));
        }

        return Asl.Device(
            "MBRD",
            Asl.Name("_HID", Asl.EisaId("PNP0C02")),
            Asl.Name("_UID", 1),
            Asl.Name("_CRS", Asl.ResourceTemplate([.. resources])));
    }

    // Without legacy replacement the timers have no ISA interrupt of their own.
    private static IEnumerable<AmlTerm> Timers(PlatformDescription platform) => platform.Hpet is { } hpet
        ? [Asl.Device("HPET", Asl.Name("_HID", Asl.EisaId("PNP0103")), Asl.Name("_UID", 0),
            Asl.Name("_CRS", Asl.ResourceTemplate(AmlResource.Memory32Fixed(hpet.Range))))]
        : [];

    /// <summary>SLP_TYPa and SLP_TYPb of the soft-off state (ACPI 6.5 7.4.2.6). No other sleep state is offered.</summary>
    private static AmlTerm SoftOff(PlatformDescription platform) =>
        Asl.Name("\\_S5", Asl.Package(platform.SoftOffSleepType, platform.SoftOffSleepType, 0, 0));
}
