using Aperture.Firmware.Aml;
using Aperture.Firmware.Platform;

namespace Aperture.Firmware.Acpi;

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
            terms.Add(Asl.Name("_HID", Asl.EisaId("PNP0A08")));
            terms.Add(Asl.Name("_CID", Asl.EisaId("PNP0A03")));
        }
        else
        {
            terms.Add(Asl.Name("_HID", Asl.EisaId("PNP0A03")));
        }

        terms.Add(Asl.Name("_UID", 0));
        terms.Add(Asl.Name("_SEG", platform.Ecam?.Segment ?? 0u));
        terms.Add(Asl.Name("_BBN", platform.HostBridge.FirstBus));
        terms.Add(Asl.Name("_CRS", Resources(platform.HostBridge)));
        if (platform.InterruptRoutes.Count != 0)
        {
            terms.Add(Asl.Name("_PRT", Routes(platform.InterruptRoutes)));
        }

        if (platform.Handover is { } ports)
        {
            terms.AddRange(Handover(ports));
        }

        if (express)
        {
            terms.Add(Osc((uint)platform.GrantedControl));
        }

        terms.Add(Dsm(platform.PreserveBootConfiguration));
        terms.Add(LpcBridge(platform));
        return Asl.Device("PCI0", [.. terms]);
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

        return Asl.ResourceTemplate([.. resources]);
    }

    /// <summary>
    /// Each entry names every function of a device (0xFFFF), a pin, and the global interrupt itself instead of a link device (ACPI 6.5 6.2.13).
    /// </summary>
    internal static AmlValue Routes(IReadOnlyList<PciInterruptRoute> routes)
    {
        AmlValue[] entries = new AmlValue[routes.Count];
        for (int i = 0; i < entries.Length; i++)
        {
            PciInterruptRoute route = routes[i];
            entries[i] = Asl.Package((ulong)route.Device << 16 | 0xFFFF, route.Pin, 0, route.Gsi);
        }

        return Asl.Package(entries);
    }

    /// <summary>
    /// _INI (ACPI 6.5 6.5.1), which an operating system evaluates before it looks at what is below the device, and before it asks for the device's resources:
    /// the map that it then finds is the one that _CRS tells.
    /// </summary>
    private static AmlTerm[] Handover(AddressRange ports) =>
    [
        Asl.OperationRegion("HNDR", AmlRegionSpace.SystemIo, ports.Start.Value, ports.Size),
        Asl.Field("HNDR", AmlFieldAccess.DWord, new AmlFieldUnit("HNDV", 32)),
        Asl.Method("_INI", 0, serialized: false, Asl.Store(1, Asl.Path("HNDV"))),
    ];

    /// <summary>
    /// _OSC(UUID, revision, count, capabilities) (ACPI 6.5 6.2.11): status in the first dword (2 failure, 4 unknown UUID, 8 unknown revision, 0x10
    /// bits were masked), wanted and granted control in the third. A failed request is granted nothing.
    /// </summary>
    internal static AmlTerm Osc(uint granted)
    {
        AmlTarget status = Asl.Path("CDW1");
        AmlTarget control = Asl.Path("CDW3");
        AmlTarget kept = Asl.Local(0);
        AmlTerm Fail(ulong bit) => Asl.Or(status, bit, status);
        return Asl.Method(
            "_OSC",
            4,
            serialized: true,
            Asl.CreateDWordField(Asl.Arg(3), 0, "CDW1"),
            Asl.If(Asl.LNot(Asl.LEqual(Asl.Arg(0), Asl.ToUuid(OscUuid))), Fail(4), Asl.Return(Asl.Arg(3))),

            // Fewer than three dwords have no control field to answer in.
            Asl.If(Asl.LLess(Asl.Arg(2), 3), Fail(2), Asl.Return(Asl.Arg(3))),
            Asl.CreateDWordField(Asl.Arg(3), 8, "CDW3"),
            Asl.If(Asl.LNot(Asl.LEqual(Asl.Arg(1), 1)), Fail(8), Asl.Store(0, control), Asl.Return(Asl.Arg(3))),
            Asl.And(control, granted, kept),
            Asl.If(Asl.LNot(Asl.LEqual(kept, control)), Fail(0x10)),
            Asl.Store(kept, control),
            Asl.Return(Asl.Arg(3)));
    }

    /// <summary>
    /// _DSM(UUID, revision, function, arguments) (ACPI 6.5 9.1.1), revisions 1 and 2: function 0 says that 5 exists, function 5 answers whether the
    /// guest must keep the boot configuration (0) or may ignore it (1).
    /// </summary>
    internal static AmlTerm Dsm(bool preserve)
    {
        AmlValue function = Asl.Arg(2);
        byte supported = 1 << 0 | 1 << (int)PreserveFunction;
        return Asl.Method(
            "_DSM",
            4,
            serialized: false,
            Asl.If(
                Asl.LAnd(
                    Asl.LEqual(Asl.Arg(0), Asl.ToUuid(DsmUuid)),
                    Asl.LOr(Asl.LEqual(Asl.Arg(1), 1), Asl.LEqual(Asl.Arg(1), 2))),
                Asl.If(Asl.LEqual(function, 0), Asl.Return(Asl.Buffer(supported))),
                Asl.If(Asl.LEqual(function, PreserveFunction), Asl.Return(preserve ? 0u : 1u))),
            Asl.Return(Asl.Buffer(0)));
    }

    /// <summary>The ISA bridge: 1F.0 on Q35, 01.0 on i440fx, with the legacy devices behind it.</summary>
    private static AmlTerm LpcBridge(PlatformDescription platform)
    {
        ulong address = platform.Board == BoardKind.Q35 ? 0x1F_0000u : 0x1_0000u;
        List<AmlTerm> terms = [Asl.Name("_ADR", address)];
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

        return Asl.Device("LPC", [.. terms]);
    }

    private static AmlTerm Legacy(string name, string id, ulong unit, params ReadOnlySpan<AmlResource> resources) => Asl.Device(
        name,
        Asl.Name("_HID", Asl.EisaId(id)),
        Asl.Name("_UID", unit),
        Asl.Name("_STA", 0xF),
        Asl.Name("_CRS", Asl.ResourceTemplate(resources)));
}
