using Aperture.Firmware.Aml;
using Aperture.Firmware.Platform;

namespace Aperture.Firmware.Acpi.Arm;

/// <summary>The machine's devices in AML (ACPI 6.5 5.2.11.1).</summary>
internal static class VirtDsdt
{
    public static byte[] Build(VirtDescription machine)
    {
        AcpiTableBuilder table = new("DSDT", 2);
        table.Append(Asl.Scope("\\_SB", [.. Processors(machine), Uart(machine), .. FwCfg(machine), HostBridge(machine), .. Events(machine)]).Bytes);
        return table.Finish();
    }

    private static IEnumerable<AmlTerm> Processors(VirtDescription machine)
    {
        for (int i = 0; i < machine.Affinities.Count; i++)
        {
            yield return Asl.Device($"C{i:X3}", Asl.Name("_HID", Asl.String("ACPI0007")), Asl.Name("_UID", (ulong)i));
        }
    }

    private static AmlTerm Uart(VirtDescription machine) => Asl.Device(
        "COM0",
        Asl.Name("_HID", Asl.String("ARMH0011")),
        Asl.Name("_UID", 0),
        Asl.Name("_CRS", Asl.ResourceTemplate(AmlResource.Memory32Fixed(machine.Uart.Range), Level(machine.Uart.Spi))));

    private static IEnumerable<AmlTerm> FwCfg(VirtDescription machine) => machine.FwCfg is { } registers
        ? [Asl.Device(
            "FWCF", Asl.Name("_HID", Asl.String("QEMU0002")), Asl.Name("_STA", 0xB), Asl.Name("_CCA", 1),
            Asl.Name("_CRS", Asl.ResourceTemplate(AmlResource.Memory32Fixed(registers))))]
        : [];

    private static AmlTerm HostBridge(VirtDescription machine)
    {
        PcieRootDescription pcie = machine.Pcie;
        return Asl.Device(
            "PCI0",
            Asl.Name("_HID", Asl.EisaId("PNP0A08")),
            Asl.Name("_CID", Asl.EisaId("PNP0A03")),
            Asl.Name("_UID", 0),
            Asl.Name("_SEG", pcie.Ecam.Segment),
            Asl.Name("_BBN", pcie.Ecam.FirstBus),
            Asl.Name("_CCA", 1),
            Asl.Name("_CBA", (pcie.Ecam.Range.Start - ((ulong)pcie.Ecam.FirstBus << 20)).Value),
            Asl.Name("_CRS", Windows(pcie)),
            Asl.Name("_PRT", HostBridgeAml.Routes(
                [.. from device in Enumerable.Range(0, 32)
                    from pin in Enumerable.Range(0, 4)
                    select new PciInterruptRoute((byte)device, (byte)pin, Gsiv.OfSpi(pcie.IntxSpi(device, pin)))])),
            HostBridgeAml.Osc((uint)PcieControl.Default),
            HostBridgeAml.Dsm(machine.PreservesPci),

            // Without a reservation Linux does not use the ECAM window (PCI Firmware 3.3 4.1.2).
            Asl.Device(
                "RES0", Asl.Name("_HID", Asl.EisaId("PNP0C02")), Asl.Name("_UID", 0),
                Asl.Name("_CRS", Asl.ResourceTemplate(AmlResource.QWordMemoryConsumer(pcie.Ecam.Range)))));
    }

    private static AmlValue Windows(PcieRootDescription pcie)
    {
        List<AmlResource> resources = [AmlResource.WordBusNumber(pcie.Ecam.FirstBus, pcie.Ecam.LastBus)];
        resources.AddRange(pcie.Memory32.Select(window => AmlResource.DWordMemory(window)));
        resources.Add(AmlResource.DWordIOInMemory(new AddressRange(GuestAddress.Zero, pcie.Io.Size), pcie.Io.Start));
        resources.AddRange(pcie.Memory64.Select(window => AmlResource.QWordMemory(window)));
        return Asl.ResourceTemplate([.. resources]);
    }

    /// <summary>
    /// The generic event device (5.6.9) with its one event, the power button, which is a device of the namespace (4.8.3.3.2). Reading the register gives the
    /// events and clears them.
    /// </summary>
    private static IEnumerable<AmlTerm> Events(VirtDescription machine) => machine.EventDevice is { } events
        ?
        [
            Asl.Device("PWRB", Asl.Name("_HID", Asl.EisaId("PNP0C0C")), Asl.Name("_UID", 0)),
            Asl.Device(
                "GED",
                Asl.Name("_HID", Asl.String("ACPI0013")),
                Asl.Name("_UID", 0),
                Asl.Name("_CRS", Asl.ResourceTemplate(Level(events.Spi))),
                Asl.OperationRegion("EREG", AmlRegionSpace.SystemMemory, events.Range.Start.Value, 4),
                Asl.Field("EREG", AmlFieldAccess.DWord, new AmlFieldUnit("ESEL", 32)),
                Asl.Method(
                    "_EVT", 1, serialized: true,
                    Asl.Store(Asl.Path("ESEL"), Asl.Local(0)),
                    Asl.If(
                        Asl.LEqual(Asl.And(Asl.Local(0), VirtDescription.PowerButtonEvent), VirtDescription.PowerButtonEvent),
                        Asl.Notify(Asl.Path("PWRB"), 0x80)))),
        ]
        : [];

    private static AmlResource Level(uint spi) => AmlResource.Interrupt(Gsiv.OfSpi(spi), levelTriggered: true, activeLow: false, shared: false);
}
