namespace Aperture.Firmware.Platform;

/// <summary>
/// Everything the guest is told about its machine through ACPI and e820, as plain data. The board fills it from what it really decodes,
/// so that a table can never disagree with a register.
/// </summary>
public sealed record PlatformDescription
{
    /// <summary>The chipset.</summary>
    public BoardKind Board { get; init; } = BoardKind.Q35;

    /// <summary>The local APIC id of each processor, boot processor first; ids up to 254. Processor n gets ACPI UID n.</summary>
    public required IReadOnlyList<uint> ApicIds { get; init; }

    /// <summary>Where guest RAM decodes; ranges do not overlap.</summary>
    public required IReadOnlyList<AddressRange> Ram { get; init; }

    /// <summary>The ECAM window, or null while the chipset does not decode one (then there is no MCFG).</summary>
    public EcamRegion? Ecam { get; init; }

    /// <summary>What the host bridge forwards.</summary>
    public required HostBridgeWindows HostBridge { get; init; }

    /// <summary>The I/O APIC.</summary>
    public IoApicDescription IoApic { get; init; } = new(new GuestAddress(0xFEC0_0000), 0, 0);

    /// <summary>Every processor's local APIC window.</summary>
    public GuestAddress LocalApic { get; init; } = new(0xFEE0_0000);

    /// <summary>The system control interrupt as the FADT names it (an ISA interrupt).</summary>
    public byte SciIrq { get; init; } = 9;

    /// <summary>ISA interrupts wired otherwise than one to one, edge, active high.</summary>
    public IReadOnlyList<IsaInterruptOverride> IsaOverrides { get; init; } = IsaInterruptOverride.Standard();

    /// <summary>The ACPI register blocks.</summary>
    public PmBlocks Pm { get; init; } = PmBlocks.Ich9;

    /// <summary>How software resets the machine.</summary>
    public ResetRegister Reset { get; init; } = ResetRegister.Cf9;

    /// <summary>The SMI command port, or 0: the machine is in ACPI mode from the start and PM1 control's SCI_EN reads 1.</summary>
    public ushort SmiCommandPort { get; init; }

    /// <summary>What written to <see cref="SmiCommandPort"/> enables ACPI mode.</summary>
    public byte AcpiEnable { get; init; } = 2;

    /// <summary>What written to <see cref="SmiCommandPort"/> disables ACPI mode.</summary>
    public byte AcpiDisable { get; init; } = 3;

    /// <summary>Where the interrupt pins of the root bus's devices arrive. Pins behind bridges are swizzled by the guest (PCI-to-PCI Bridge 1.2 9.1).</summary>
    public IReadOnlyList<PciInterruptRoute> InterruptRoutes { get; init; } = [];

    /// <summary>Serial ports, COM1 first.</summary>
    public IReadOnlyList<SerialPortDescription> SerialPorts { get; init; } = [SerialPortDescription.Com1];

    /// <summary>A CMOS clock at ports 0x70-0x71, interrupt 8.</summary>
    public bool HasRtc { get; init; } = true;

    /// <summary>The event timers, or null for none.</summary>
    public HpetDescription? Hpet { get; init; }

    /// <summary>A keyboard controller at ports 0x60 and 0x64.</summary>
    public bool HasI8042 { get; init; } = true;

    /// <summary>A VGA device that decodes A0000-BFFFF; false tells the guest not to probe for one.</summary>
    public bool HasVga { get; init; }

    /// <summary>_DSM function 5 of the host bridge answers 0: the guest keeps the BARs and windows it finds (PCI Firmware 3.3 4.6.5).</summary>
    public bool PreserveBootConfiguration { get; init; } = true;

    /// <summary>
    /// The four ports that _INI of the host bridge writes 1 to, by which the operating system says that it takes the machine over from firmware; null when no
    /// firmware had it.
    /// </summary>
    public AddressRange? Handover { get; init; }

    /// <summary>Which PCI Express features _OSC hands to the guest.</summary>
    public PcieControl GrantedControl { get; init; } = PcieControl.Default;

    /// <summary>SLP_TYP of the soft-off state S5 for PM1 control, 0 to 7.</summary>
    public byte SoftOffSleepType { get; init; }
}
