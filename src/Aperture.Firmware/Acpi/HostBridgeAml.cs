namespace Aperture.Firmware;

/// <summary>The PCI host bridge as a device of the namespace, with the ISA devices behind its LPC bridge.</summary>
internal static class HostBridgeAml
{
    /// <summary>Host bridge _DSM functions (PCI Firmware 3.3 4.6).</summary>
    public static readonly Guid DsmUuid = new("E5C937D0-3553-4D7A-9117-EA4D19C3434D");

    /// <summary>Host bridge _OSC (PCI Firmware 3.3 4.5.1).</summary>
    public static readonly Guid OscUuid = new("33DB4D5B-1FF7-401C-9657-7441C03DD766");

    private const ulong PreserveFunction = 5;

    private static readonly AddressRange VgaMemory = new(new GuestAddress(0xA_0000), 0x2_0000);

    public static AmlTerm Device(PlatformDescription platform)
    {
        bool express = platform.Board == BoardKind.Q35;
        List<AmlTerm> terms = [];
        if (express)
        {
            terms.Add(Aml.Name("_HID", Aml.EisaId("PNP0A08")));
            terms.Add(Aml.Name("_CID", Aml.EisaId("PNP0A03")));
        }
        else
        {
            terms.Add(Aml.Name("_HID", Aml.EisaId("PNP0A03")));
        }

        terms.Add(Aml.Name("_UID", 0));
        terms.Add(Aml.Name("_SEG", platform.Ecam?.Segment ?? 0u));
        terms.Add(Aml.Name("_BBN", platform.HostBridge.FirstBus));
        terms.Add(Aml.Name("_CRS", Resources(platform.HostBridge)));
        if (platform.InterruptRoutes.Count != 0)
        {
            terms.Add(Aml.Name("_PRT", Routes(platform.InterruptRoutes)));
        }

        if (express)
        {
            terms.Add(Osc((uint)platform.GrantedControl));
        }

        terms.Add(Dsm(platform.PreserveBootConfiguration));
        terms.Add(LpcBridge(platform));
        return Aml.Device("PCI0", [.. terms]);
    }

    private static AmlValue Resources(HostBridgeWindows windows)
    {
        List<AmlResource> resources =
        [
            AmlResource.WordBusNumber(windows.FirstBus, windows.LastBus),

            // The configuration mechanism's own ports: consumed, not forwarded.
            AmlResource.IO(0xCF8, 8),
        ];
        foreach (AddressRange io in windows.Io)
        {
            resources.Add(AmlResource.WordIO(io));
        }

        resources.Add(AmlResource.DWordMemory(VgaMemory, AmlCaching.Cacheable));
        foreach (AddressRange memory in windows.Memory32)
        {
            resources.Add(AmlResource.DWordMemory(memory));
        }

        foreach (AddressRange memory in windows.Memory64)
        {
            resources.Add(AmlResource.QWordMemory(memory));
        }

        return Aml.ResourceTemplate([.. resources]);
    }

    /// <summary>Each entry names every function of a device (0xFFFF), a pin, and the global interrupt itself instead of a link device (ACPI 6.5 6.2.13).</summary>
    private static AmlValue Routes(IReadOnlyList<PciInterruptRoute> routes)
    {
        AmlValue[] entries = new AmlValue[routes.Count];
        for (int i = 0; i < entries.Length; i++)
        {
            PciInterruptRoute route = routes[i];
            entries[i] = Aml.Package((ulong)route.Device << 16 | 0xFFFF, route.Pin, 0, route.Gsi);
        }

        return Aml.Package(entries);
    }

    /// <summary>
    /// _OSC(UUID, revision, count, capabilities) (ACPI 6.5 6.2.11): status in the first dword (2 failure, 4 unknown UUID, 8 unknown revision, 0x10
    /// bits were masked), wanted and granted control in the third. A failed request is granted nothing.
    /// </summary>
    private static AmlTerm Osc(uint granted)
    {
        AmlTarget status = Aml.Path("CDW1");
        AmlTarget control = Aml.Path("CDW3");
        AmlTarget kept = Aml.Local(0);
        AmlTerm Fail(ulong bit) => Aml.Or(status, bit, status);
        return Aml.Method(
            "_OSC",
            4,
            serialized: true,
            Aml.CreateDWordField(Aml.Arg(3), 0, "CDW1"),
            Aml.If(Aml.LNot(Aml.LEqual(Aml.Arg(0), Aml.ToUuid(OscUuid))), Fail(4), Aml.Return(Aml.Arg(3))),

            // Fewer than three dwords have no control field to answer in.
            Aml.If(Aml.LLess(Aml.Arg(2), 3), Fail(2), Aml.Return(Aml.Arg(3))),
            Aml.CreateDWordField(Aml.Arg(3), 8, "CDW3"),
            Aml.If(Aml.LNot(Aml.LEqual(Aml.Arg(1), 1)), Fail(8), Aml.Store(0, control), Aml.Return(Aml.Arg(3))),
            Aml.And(control, granted, kept),
            Aml.If(Aml.LNot(Aml.LEqual(kept, control)), Fail(0x10)),
            Aml.Store(kept, control),
            Aml.Return(Aml.Arg(3)));
    }

    /// <summary>
    /// _DSM(UUID, revision, function, arguments) (ACPI 6.5 9.1.1), revisions 1 and 2: function 0 says that 5 exists, function 5 answers whether the
    /// guest must keep the boot configuration (0) or may ignore it (1).
    /// </summary>
    private static AmlTerm Dsm(bool preserve)
    {
        AmlValue function = Aml.Arg(2);
        byte supported = 1 << 0 | 1 << (int)PreserveFunction;
        return Aml.Method(
            "_DSM",
            4,
            serialized: false,
            Aml.If(
                Aml.LAnd(
                    Aml.LEqual(Aml.Arg(0), Aml.ToUuid(DsmUuid)),
                    Aml.LOr(Aml.LEqual(Aml.Arg(1), 1), Aml.LEqual(Aml.Arg(1), 2))),
                Aml.If(Aml.LEqual(function, 0), Aml.Return(Aml.Buffer(supported))),
                Aml.If(Aml.LEqual(function, PreserveFunction), Aml.Return(preserve ? 0u : 1u))),
            Aml.Return(Aml.Buffer(0)));
    }

    /// <summary>The ISA bridge: 1F.0 on Q35, 01.0 on i440fx, with the legacy devices behind it.</summary>
    private static AmlTerm LpcBridge(PlatformDescription platform)
    {
        ulong address = platform.Board == BoardKind.Q35 ? 0x1F_0000u : 0x1_0000u;
        List<AmlTerm> terms = [Aml.Name("_ADR", address)];
        for (int i = 0; i < platform.SerialPorts.Count; i++)
        {
            SerialPortDescription port = platform.SerialPorts[i];
            terms.Add(Legacy($"COM{i + 1}", "PNP0501", (ulong)(i + 1), AmlResource.IO(port.Port, 8), AmlResource.IrqNoFlags(port.Irq)));
        }

        if (platform.HasRtc)
        {
            terms.Add(Legacy("RTC", "PNP0B00", 0, AmlResource.IO(0x70, 2), AmlResource.IrqNoFlags(8)));
        }

        if (platform.HasI8042)
        {
            terms.Add(Legacy("KBD", "PNP0303", 0, AmlResource.IO(0x60, 1), AmlResource.IO(0x64, 1), AmlResource.IrqNoFlags(1)));
        }

        return Aml.Device("LPC", [.. terms]);
    }

    private static AmlTerm Legacy(string name, string id, ulong unit, params ReadOnlySpan<AmlResource> resources) => Aml.Device(
        name,
        Aml.Name("_HID", Aml.EisaId(id)),
        Aml.Name("_UID", unit),
        Aml.Name("_STA", 0xF),
        Aml.Name("_CRS", Aml.ResourceTemplate(resources)));
}
